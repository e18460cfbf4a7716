"""Masking a batch at once gives what masking each value of each event alone gives, whatever stands around a value."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.pii.mask import mask
from detectors.pii.prefilter import MakePrefilter, PlainPrefilter, fastest_prefilter
from detectors.pii.scanner import Scanner
from inferwatch import InferenceEvent, Message, Part, TensorSummary, text_message
from processors.enrich.mask import keyed_hash
from processors.enrich.measurements import measurements_of
from processors.enrich.pipeline import Pipeline
from processors.enrich.rows import rows_of
from processors.settings import EnrichSettings
from tests.unit.processors.makers import BOOK, NOW, SCANNER, enriched, event, pipeline, record, row, rows, source

VALUES = (
    *("ann.smith@example.com", "4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111", "378282246310005"),
    *("DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "536-90-4399", "192.168.10.7", "2001:db8::8a2e:7334"),
    *("+1 415-555-2671", "+49 30 901820", "(415) 555-2671", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9),
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
)
AROUND = ("", "", " ", "\n", "\t", '"', "\\", "/", "n", "u", "x", "7", "\u2028", "\x00", "é", "𝕏", "<", ">", ":", ",")
WORDS = st.sampled_from((*VALUES, *VALUES, "the", "card", "llama-3.1-8b-instruct", "20240806", "0x1f", "@", "."))
TEXTS = st.lists(WORDS | st.sampled_from(AROUND), max_size=5).map("".join) | st.text(max_size=8)
LONG_NUMBERS = (
    *(4111111111111111, 4111111111111111.0, -4111111111111111, 378282246310005, 630400000000.0, 6.304e16, -6.304e16),
    *(2.0**62, 2**63 - 1, 10**30, 1e300),
)
NUMBERS = st.sampled_from((*LONG_NUMBERS, 0, 1, 0.5, 411111111111.5, 4155552671, 536904399, True, None))
TREES = st.recursive(
    TEXTS | NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)
PARTS = st.builds(
    Part,
    type=st.sampled_from(["text", "tool_call"]),
    content=st.none() | TEXTS,
    name=st.none() | TEXTS,
    arguments=st.none() | TREES,
    response=st.none() | TREES,
)
MESSAGES = st.lists(
    st.builds(Message, role=st.sampled_from(["user", "tool"]) | TEXTS, parts=st.lists(PARTS, max_size=2).map(tuple)),
    max_size=2,
).map(tuple)
NAMES = ("environment", "operation", "provider", "request_model", "model_version", "prompt_version", "trace_id")
MORE_NAMES = ("span_id", "parent_span_id", "response_id", "error_type")
IDENTITY = ("service", "team", "conversation_id", "prompt_name")
SHORT = TEXTS.map(lambda text: text[:256])
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*NAMES, *MORE_NAMES, *IDENTITY), SHORT),
        "user": TEXTS,
        "error_message": TEXTS,
        "attributes": st.dictionaries(TEXTS, TEXTS, max_size=2),
        "parameters": st.dictionaries(TEXTS, TREES, max_size=2),
        "finish_reasons": st.lists(TEXTS, max_size=2).map(tuple),
        "input_messages": MESSAGES,
        "output_messages": MESSAGES,
        "input_tensors": st.builds(TensorSummary, name=TEXTS, datatype=TEXTS).map(lambda tensor: (tensor,)),
    },
).map(lambda fields: event(**fields))


class OneByOne:
    """The plainest masker: each text by itself, with everything that the scanner knows."""

    def __init__(self) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()

    def text(self, value: str, place: str | None) -> str:
        spans = SCANNER.scan(value)
        if place is not None:
            self.hits.update((span.entity_type, place) for span in spans)
        return mask(value, spans)

    def tree(self, value: Any, place: str) -> Any:
        if isinstance(value, str):
            return self.text(value, place)
        if isinstance(value, dict):
            return {self.text(key, place): self.tree(item, place) for key, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item, place) for item in value]
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if value is not None and not isinstance(value, bool) and whole and abs(value) >= 10**11:
            masked = self.text(str(int(value)), place)
            return value if masked == str(int(value)) else masked
        return value


def expected(one: InferenceEvent) -> dict[str, Any]:
    """Return what a row is to hold of an event's texts."""
    # What arrives is what JSON makes of it: a tuple is a list, for instance.
    given = msgspec.json.decode(msgspec.json.encode(one))
    by_hand = OneByOne()
    names = {name: by_hand.text(given.get(name) or "", None) for name in (*NAMES, *MORE_NAMES)}
    reasons = [by_hand.text(reason, None) for reason in given.get("finish_reasons", [])]
    return {
        **names,
        "environment": by_hand.text(one.environment, None) or "default",
        "operation": by_hand.text(one.operation, None),
        "provider": by_hand.text(one.provider, None),
        "model": names["request_model"],
        "finish_reasons": reasons,
        **{name: by_hand.text(given.get(name) or "", "identity") for name in IDENTITY},
        "user": keyed_hash(one.user, EnrichSettings().user_hash_secret.encode()),
        "error_message": by_hand.text(given.get("error_message") or "", "error"),
        "attributes": by_hand.tree(given.get("attributes", {}), "attributes"),
        "parameters": by_hand.tree(given.get("parameters", {}), "parameters"),
        "input_messages": by_hand.tree(given.get("input_messages", []), "input"),
        "output_messages": by_hand.tree(given.get("output_messages", []), "output"),
        "tensors": [[by_hand.text(t["name"], None), by_hand.text(t["datatype"], None)] for t in _tensors(given)],
        "pii": [(kind, place, count) for (kind, place), count in sorted(by_hand.hits.items())],
    }


def _tensors(given: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = given.get("input_tensors", [])
    return found


def stored(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a row holds of an event's texts."""
    trees = {name: json.loads(found[name] or "[]") for name in ("input_messages", "output_messages")}
    tensors = json.loads(found["tensors"])["input"] if found["tensors"] else []
    names = (*NAMES, *MORE_NAMES, *IDENTITY, "model", "user", "error_message", "attributes", "finish_reasons", "pii")
    return {
        **{name: found[name] for name in names},
        **trees,
        "parameters": json.loads(found["parameters"] or "{}"),
        "tensors": [[tensor["name"], tensor["datatype"]] for tensor in tensors],
    }


def valid(one: InferenceEvent) -> bool:
    return bool(one.request_model)


@settings(max_examples=60)
@given(EVENTS.filter(valid))
@example(event(error_message='call","20240806-', service='call","20240806-', finish_reasons=('call","20240806-',)))
@example(event(error_message="\tann.smith@example.com\n4111 1111 1111 1111\n192.168.10.7"))
@example(event(input_messages=(text_message("user", 'the\tDE89 3704 0044 0532 0130 00"'),)))
@example(event(input_messages=(text_message("user", "\\536-90-4399\\"),)))
@example(event(attributes={"n": "\n+1 415-555-2671\x00"}))
def test_each_value_is_masked_as_if_it_stood_alone(one: InferenceEvent) -> None:
    assert stored(row(one)) == expected(one)


@settings(max_examples=40)
@given(st.lists(EVENTS.filter(valid), min_size=1, max_size=5), st.data())
def test_masking_a_batch_is_masking_each_event_alone(different: list[InferenceEvent], data: st.DataObject) -> None:
    events = data.draw(st.lists(st.sampled_from(different), max_size=8))
    records = [source(record(one).value, offset) for offset, one in enumerate(events)]
    together = pipeline().enrich(records, NOW)
    alone = [pipeline().enrich([one], NOW) for one in records]
    assert rows(together) == [found for batch in alone for found in rows(batch)]
    hits = {at: batch.masked.hits[0] for at, batch in enumerate(alone) if batch.masked.hits.get(0)}
    assert {at: found for at, found in together.masked.hits.items() if found} == hits


TRICKY = (
    *('call","20240806-', "536904399", "4111111111111111", "true", "null", "-", '"', "\\n4111 1111 1111 1111"),
    *("card:\n4111 1111 1111 1111", "x\nann.smith@example.com\ny", "\\u0061nn.smith@example.com", "[4155552671]"),
    *('{"a":"192.168.10.7"}', "\t+1 415-555-2671\t", "é536-90-4399é", "١٩٢.١٦٨.١٠.٧", "AKIAIOSFODNN7EXAMPLE"),
)


@pytest.mark.parametrize("prefilter", [fastest_prefilter, PlainPrefilter])
def test_texts_that_look_like_json_are_masked_as_the_texts_that_they_are(prefilter: MakePrefilter) -> None:
    scanner = Scanner(prefilter=prefilter)
    events = [event(error_message=text, service=text, trace_id=text, finish_reasons=(text,)) for text in TRICKY]
    made = Pipeline(EnrichSettings(), scanner, BOOK)
    found = rows(made.enrich([source(record(*events).value)], NOW))
    for text, one in zip(TRICKY, found, strict=True):
        masked = mask(text, SCANNER.scan(text))
        assert (one["error_message"], one["service"], one["trace_id"]) == (masked,) * 3
        assert one["finish_reasons"] == [masked]


@pytest.mark.parametrize("different", [3, 1_000])
def test_many_different_names_are_masked_as_few_are(different: int) -> None:
    names = [f"talk-{number % different}" for number in range(1_000)]
    names[7] = names[500] = "ann.smith@example.com"
    batch = enriched(*(event(conversation_id=name, environment=name, trace_id=name) for name in names))
    masked = ["<EMAIL_ADDRESS>" if "@" in name else name for name in names]
    found = rows(batch)
    for column in ("conversation_id", "environment", "trace_id"):
        assert [one[column] for one in found] == masked
    hits = [("EMAIL_ADDRESS", "identity", 1)]
    assert [(at, one["pii"]) for at, one in enumerate(found) if one["pii"]] == [(7, hits), (500, hits)]
    assert [one.environment for one in measurements_of(batch, "t")] == masked


def test_an_empty_batch_has_every_column_and_no_row() -> None:
    columns = rows_of(enriched(b"junk"))
    assert {len(column) for column in columns.values()} == {0}
    assert columns.keys() == rows_of(enriched(event())).keys()
    assert {name: column.type for name, column in columns.items()} == {
        name: column.type for name, column in rows_of(enriched(event(user="ann", attributes={"a": "b"}))).items()
    }
