"""Step 6: find PII in every free text of a batch and put its type in its place.

One pass over the texts of all events tells which may hold something; only those are looked at one by one.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import pyarrow as pa

from detectors.protocols import PiiScanner
from inferwatch.events import Message, TensorSummary
from processors.enrich.fields import Fields, texts
from processors.enrich.mask_tree import Hits, TreeMasker
from processors.enrich.masked import Masked, texts_of

_encode: Final = msgspec.json.Encoder().encode

NAMES: Final = (
    *("environment", "operation", "provider", "request_model", "response_model", "model_version", "prompt_version"),
    *("trace_id", "span_id", "parent_span_id", "response_id", "error_type"),
)
"""What is found in them is masked, but not counted: names come from applications, and from the paths of requests."""
IDENTITY: Final = ("service", "team", "conversation_id", "prompt_name")
DEFAULT_ENVIRONMENT: Final = "default"
_MOMENTS: Final = frozenset(("mean", "deviation", "minimum", "maximum"))
_FEW: Final = 256
"""Different names in a batch, up to which each is looked at once however often it is there."""


class Masker:
    """Masks batches of events with one scanner. `user_hash_secret` keys the hash that replaces user ids."""

    def __init__(self, scanner: PiiScanner, user_hash_secret: str) -> None:
        self._scanner = scanner
        self._tree = TreeMasker(scanner)
        self._secret = user_hash_secret.encode()
        self._hash = lru_cache(maxsize=65_536)(lambda user: keyed_hash(user, self._secret))

    def mask(self, fields: Fields, most: int) -> Masked:
        """Return everything that events say in free text, masked; then text parts are cut to `most` characters."""
        hits: dict[int, Hits] = defaultdict(Hits)
        unreadable: set[int] = set()
        names = {name: self._names(fields.texts(name)) for name in NAMES}
        if "" in fields["environment"]:
            names["environment"] = texts([name or DEFAULT_ENVIRONMENT for name in texts_of(names["environment"])])
        for name in IDENTITY:
            names[name] = self._names(fields.texts(name), hits)
        contents = {
            f"{place}_messages": self._messages(fields[f"{place}_messages"], place, most, hits, unreadable)
            for place in ("input", "output")
        }
        contents["parameters"] = self._trees(fields["parameters"], "parameters", hits, unreadable)
        contents["error_message"] = self._errors(fields["error_message"], most, hits)
        return Masked(
            names,
            contents,
            self._attributes(fields["attributes"], hits),
            self._reasons(fields["finish_reasons"]),
            self._tensors(fields["input_tensors"], fields["output_tensors"]),
            list(map(self._hash, fields["user"])),
            dict(hits),
            frozenset(unreadable),
            _either(texts_of(names["response_model"]), texts_of(names["request_model"])),
        )

    def _names(self, column: pa.Array, hits: dict[int, Hits] | None = None) -> pa.Array:
        if not isinstance(column, pa.DictionaryArray) or len(column.dictionary) > _FEW:
            return self._many_names(column, hits)
        different: list[str] = column.dictionary.to_pylist()
        found: dict[int, Hits] = {}
        for code, hint in self._suspected(list(map(_encode, different))):
            found[code] = Hits()
            different[code] = self._tree.text(different[code], hint, "identity", found[code])
        if not any(found.values()):
            return column
        codes = column.indices.to_pylist()
        if hits is not None:
            for at in (at for at, code in enumerate(codes) if found.get(code)):
                hits[at].update(found[codes[at]])
        return texts([different[code] for code in codes])

    def _many_names(self, column: pa.Array, hits: dict[int, Hits] | None) -> pa.Array:
        values = texts_of(column)
        # Mostly ids, in which nothing is found: all of them are one document then.
        if not any(self._scanner.suspects([_encode(values)])):
            return column
        for at, hint in self._suspected(list(map(_encode, values))):
            values[at] = self._tree.text(values[at], hint, "identity", Hits() if hits is None else hits[at])
        return pa.array(values, pa.string())

    def _messages(
        self, given: Sequence[tuple[Message, ...]], place: str, most: int, hits: dict[int, Hits], unreadable: set[int]
    ) -> list[bytes]:
        encoded = _encoded(given, unreadable)
        hints = self._scanner.suspects(encoded)
        for at, (text, hint) in enumerate(zip(encoded, hints, strict=True)):
            if hint or len(text) > most:
                try:
                    encoded[at] = self._tree.messages(given[at], hint, place, hits[at], most)
                except RecursionError:
                    unreadable.add(at)
        return encoded

    def _trees(
        self, given: Sequence[dict[str, Any]], place: str, hits: dict[int, Hits], unreadable: set[int]
    ) -> list[bytes]:
        encoded = _encoded(given, unreadable)
        different = list(set(encoded))
        hints = {text: hint for text, hint in zip(different, self._scanner.suspects(different), strict=True) if hint}
        for at in (at for at, text in enumerate(encoded) if text in hints) if hints else ():
            try:
                encoded[at] = _encode(self._tree.value(given[at], hints[encoded[at]], place, hits[at]))
            except RecursionError:
                unreadable.add(at)
        return encoded

    def _errors(self, given: Sequence[str | None], most: int, hits: dict[int, Hits]) -> list[bytes]:
        errors = [(text or "").encode() for text in given]
        if any(errors):
            for at, hint in self._suspected([_encode(text) if text else b"" for text in given]):
                errors[at] = self._tree.text(given[at] or "", hint, "error", hits[at]).encode()
        return [error if len(error) <= most else error.decode()[:most].encode() for error in errors]

    def _attributes(self, given: Sequence[dict[str, str]], hits: dict[int, Hits]) -> list[dict[str, str]]:
        masked = list(given)
        if any(masked):
            for at, hint in self._suspected(_encoded(masked, set())):
                masked[at] = self._tree.value(given[at], hint, "attributes", hits[at])
        return masked

    def _reasons(self, given: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        masked = {reasons: tuple(self._names(texts(reasons)).to_pylist()) for reasons in set(given)}
        return [masked[reasons] for reasons in given]

    def _tensors(
        self, given: Sequence[tuple[TensorSummary, ...]], made: Sequence[tuple[TensorSummary, ...]]
    ) -> list[bytes]:
        if not (any(given) or any(made)):
            return [b""] * len(given)
        named = [
            {"input": self._tensor_names(before), "output": self._tensor_names(after)} if before or after else {}
            for before, after in zip(given, made, strict=True)
        ]
        encoded = _encoded(named, set())
        for at, _ in self._suspected(encoded):
            encoded[at] = _encode({side: self._moments(tensors) for side, tensors in named[at].items()})
        return encoded

    def _moments(self, tensors: list[TensorSummary]) -> list[dict[str, Any]]:
        """Return summaries without numbers that are personal by themselves; the largest is one that was there."""
        plain: list[dict[str, Any]] = msgspec.to_builtins(tensors)
        for one in plain:
            for name in _MOMENTS & one.keys():
                one[name] = self._tree.number(one[name], "tensors", Hits())
            # Counts by bucket; a sender that means no harm does not put a card number there.
            one.pop("sketch", None)
        return plain

    def _tensor_names(self, tensors: tuple[TensorSummary, ...]) -> list[TensorSummary]:
        names = self._names(texts([name for one in tensors for name in (one.name, one.datatype)])).to_pylist()
        return [
            msgspec.structs.replace(tensor, name=name, datatype=datatype, **_nothing_of_one(tensor))
            for tensor, name, datatype in zip(tensors, names[::2], names[1::2], strict=True)
        ]

    def _suspected(self, documents: Sequence[bytes]) -> list[tuple[int, int]]:
        """Return which of some texts, as JSON, may hold something, and hints of what."""
        return [(at, hints) for at, hints in enumerate(self._scanner.suspects(documents)) if hints]


def keyed_hash(who: str | None, secret: bytes) -> str:
    """Return the keyed hash that stands for a person (HMAC-SHA256, 128 bits of it), or "" for none."""
    return hmac.digest(secret, who.encode(), hashlib.sha256).hex()[:32] if who else ""


def _nothing_of_one(tensor: TensorSummary) -> dict[str, None]:
    """The moments of a single number are the number: that is content, and no summary of it."""
    count = math.prod(tensor.shape) if tensor.count is None else tensor.count
    return {} if count > 1 else dict.fromkeys((*_MOMENTS, "sketch"))


def _either(first: list[str], second: list[str]) -> list[str]:
    return [one or other for one, other in zip(first, second, strict=True)]


def _encoded(values: Sequence[Any], unreadable: set[int]) -> list[bytes]:
    """Return values as JSON, those that are empty as nothing."""
    try:
        return [_encode(value) if value else b"" for value in values]
    except RecursionError:
        return [_or_nothing(_encode, at, value, unreadable) for at, value in enumerate(values)]


def _or_nothing(encode: Callable[[Any], bytes], at: int, value: Any, unreadable: set[int]) -> bytes:
    try:
        return encode(value) if value else b""
    except RecursionError:
        unreadable.add(at)
        return b""
