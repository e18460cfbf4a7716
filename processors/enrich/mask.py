"""Step 6: find PII in every free text of an event and put its type in its place."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from detectors.pii.mask import mask
from detectors.protocols import PiiScanner
from inferwatch.events import InferenceEvent, Message

_json: Final = msgspec.json.Encoder()

_NAMES: Final = (
    *("environment", "operation", "provider", "request_model", "response_model", "model_version", "prompt_version"),
    *("trace_id", "span_id", "parent_span_id", "response_id", "error_type"),
)
_SHORTEST_NUMBER: Final = 10**11
"""The shortest number that is told to be personal by itself, a payment card's, has 12 digits."""


@dataclass(frozen=True, slots=True)
class MaskedText:
    """The free texts of an event after masking, and what was found in them.

    `input_messages`, `output_messages` and `parameters` are JSON. `hits` counts by entity type and place, where a
    place is `input`, `output`, `error`, `parameters`, `attributes` or `identity`.
    """

    input_messages: str
    output_messages: str
    error_message: str
    parameters: str
    attributes: dict[str, str]
    service: str
    team: str
    conversation_id: str
    prompt_name: str
    hits: tuple[tuple[str, str, int], ...]

    def found(self, place: str) -> int:
        """Return how many values were found in one place."""
        return sum(count for _, where, count in self.hits if where == place)


class Masker:
    """Masks events with one scanner. `user_hash_secret` keys the hash that replaces user ids."""

    def __init__(self, scanner: PiiScanner, user_hash_secret: str) -> None:
        self._scanner = scanner
        self._secret = user_hash_secret.encode()
        self._name = lru_cache(maxsize=4096)(self._masked)

    def mask_names(self, event: InferenceEvent) -> InferenceEvent:
        """Return the event with every name in it masked: names come from applications, and from the paths of requests.

        Names become keys, columns and words in alerts as they are; `mask_event` takes the rest.
        """
        masked: dict[str, Any] = {name: self._name(getattr(event, name) or "") for name in _NAMES}
        changed = {name: value for name, value in masked.items() if value != (getattr(event, name) or "")}
        if event.finish_reasons:
            changed["finish_reasons"] = tuple(map(self._name, event.finish_reasons))
        for name in ("input_tensors", "output_tensors"):
            if tensors := getattr(event, name):
                changed[name] = tuple(
                    msgspec.structs.replace(tensor, name=self._name(tensor.name), datatype=self._name(tensor.datatype))
                    for tensor in tensors
                )
        return msgspec.structs.replace(event, **changed) if changed else event

    def _masked(self, value: str) -> str:
        return mask(value, self._scanner.scan(value)) if value else value

    def mask_event(self, event: InferenceEvent, most: int | None = None) -> MaskedText:
        """Return everything an event says in free text, masked; then text parts are cut to `most` characters."""
        hits: Counter[tuple[str, str]] = Counter()

        def text(value: str, place: str) -> str:
            spans = self._scanner.scan(value)
            hits.update((span.entity_type, place) for span in spans)
            return mask(value, spans) if spans else value

        def deep(value: Any, place: str) -> Any:
            if isinstance(value, str):
                return text(value, place)
            if isinstance(value, dict):
                return {text(str(key), place): deep(item, place) for key, item in value.items()}
            if isinstance(value, list | tuple):
                return [deep(item, place) for item in value]
            if isinstance(value, int | float) and abs(value) >= _SHORTEST_NUMBER and _is_whole(value):
                # An encoder may write an integer as a float, `4111111111111111.0`.
                written = str(int(value))
                return text(written, place) if self._scanner.scan(written) else value
            if value is None or isinstance(value, bool | int | float):
                return value
            # Whatever else a decoder may come to return must not pass unseen.
            return text(str(value), place)

        def messages(given: tuple[Message, ...], place: str) -> str:
            masked = deep(msgspec.to_builtins(given), place)
            for part in (part for message in masked for part in message.get("parts", ())):
                if part.get("content"):
                    part["content"] = part["content"][:most]
            return _json.encode(masked).decode() if masked else ""

        return MaskedText(
            input_messages=messages(event.input_messages, "input"),
            output_messages=messages(event.output_messages, "output"),
            error_message=text(event.error_message or "", "error"),
            parameters=_json.encode(deep(event.parameters, "parameters")).decode() if event.parameters else "",
            attributes=deep(event.attributes, "attributes"),
            service=text(event.service, "identity"),
            team=text(event.team, "identity"),
            conversation_id=text(event.conversation_id or "", "identity"),
            prompt_name=text(event.prompt_name or "", "identity"),
            hits=tuple((kind, place, count) for (kind, place), count in sorted(hits.items())),
        )

    def hash_user(self, user: str | None) -> str:
        """Return the keyed hash that stands for a user (HMAC-SHA256, 128 bits of it), or "" for none."""
        if not user:
            return ""
        return hmac.new(self._secret, user.encode(), hashlib.sha256).hexdigest()[:32]


def _is_whole(number: int | float) -> bool:
    return isinstance(number, int) or number.is_integer()
