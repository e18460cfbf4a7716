"""The prefilters never change what is found: they look at JSON from afar, so that most of it need not be looked at."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import hyperscan
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.errors import MissingBackend
from detectors.pii.hyperscan_prefilter import HyperscanPrefilter
from detectors.pii.prefilter import PlainPrefilter, fastest_prefilter, texts_in
from detectors.pii.recogniser import Recogniser
from detectors.pii.scanner import Scanner, ScannerSettings

encode = msgspec.json.Encoder().encode


class EverythingSuspect:
    """No prefilter at all."""

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        self._all = (1 << len(recognisers)) - 1

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        return [self._all] * len(blobs)


FAST = Scanner(prefilter=HyperscanPrefilter)
PLAIN = Scanner(prefilter=PlainPrefilter)
REFERENCE = Scanner(prefilter=EverythingSuspect)

WIDE = str.maketrans("0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19")
VALUES = (
    *("ann.o'hara@mail.example.co.uk", "\u7528\u6237@\u4f8b\u5b50.\u516c\u53f8", "a@x.xn--p1ai", "logo@2x.png"),
    *("4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6304000000000000", "4111111111111112"),
    *("GB82 WEST 1234 5698 7654 32", "de89370400440532013000", "NO93-8601-1117-947", "AE07 0331 2345 6789 0123 456"),
    *("536-22-8765", "536228765", "536 22 8765", "536-22-8765".translate(WIDE), "203.0.113.77", "10.20.30.40"),
    *("2001:db8::ff00:42:8329", "fe80::1", "1:2::", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4"),
    *("+49 30 901820", "+-4930901820", "+ (49) 30/901820", "(212) 555-0123", "+1-212-555-0123", "020 7946 0958"),
    *("2125550123", "0301234567 ext. 12", "(212) 555-0123".translate(WIDE), "555-0123 x4 home", "01 23 45 67 89"),
    *(
        "2024-01-15",
        "15.01.2024",
        "2024-01-15 10:30",
        "2024-01-15 10",
        "(2024-01-15)",
        "2024-01-15 x 5",
        "1990 01 15 1",
    ),
    *(
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "SG." + "a1\xe9" * 7 + "b." + "c0" * 21 + "d",
        "sk-" + "1a" * 10,
    ),
    *("hf_" + "ab" * 17, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "-----BEGIN RSA PRIVATE KEY-----", "0.123456"),
    *("550e8400-e29b-41d4-a716-446655440000", "1700000000", "1700000000000", "v1.2.3.4", "00:1a:2b:3c:4d:5e"),
)
WORDS = (
    *("call", "phone", "context", "string", "discard", "card", "CARD", "ssn", "social", "order", "epoch", "id", "tel"),
    *(
        "T\xc9L\xc9PHONE",
        "mobile",
        "WOR\u212a",
        "de\u017fk",
        "off\u0131ce",
        "\u0130d",
        "x",
        "ext",
        "words",
        "\u4f60\u597d",
    ),
)
BETWEEN = (
    *(" ", " ", "", ",", ", ", ": ", ".", "-", "/", "(", ")", "$", "#", "@", "+", "=", "_", "\n", "\t", '"', "'", "\\"),
    *("\u00a0", "\u2003", "\x01", "\x1f", "\x7f", "\xe9", "\u20ac", "\U0001d4b3", "n", "7", "x", " " * 24, "a" * 24),
    *(" - " * 10, '\\"' * 12, "\n" * 26, "\u4f60" * 30),
)
texts = st.lists(
    st.one_of(
        *(st.sampled_from(VALUES), st.sampled_from(VALUES), st.sampled_from(WORDS), st.sampled_from(BETWEEN)),
        *(st.sampled_from(BETWEEN), st.text(max_size=6), st.text("0123456789 ().-/+x:aF", max_size=24)),
    ),
    max_size=10,
).map("".join)
numbers = st.one_of(
    st.integers(0, 10**20),
    st.sampled_from((4111111111111111, 4111111111111111.0, 6304000000000000, 6e18, 4.2e18, 5555555555554444.0)),
    st.floats(allow_nan=False, allow_infinity=False),
)
documents = st.recursive(
    st.one_of(texts, numbers, st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.lists(texts, max_size=8))
@example(["write to\nann@example.com", "\tDE89370400440532013000", 'call "2125550123"', "call,2125550123"])
@example(["a context of words and more words here 2125550123", "call" + "\u00a0" * 38 + "2125550123"])
@example(["\ud800 half of a pair, and ann@example.com"])
def test_a_scan_finds_the_same_with_either_prefilter_as_with_none(some: list[str]) -> None:
    expected = REFERENCE.scan_all(some)
    assert FAST.scan_all(some) == expected
    assert PLAIN.scan_all(some) == expected
    assert [FAST.scan(text) for text in some] == expected


@settings(deadline=None, max_examples=150)
@given(st.lists(documents, max_size=8))
def test_what_is_not_suspect_in_a_document_is_in_none_of_its_strings_names_and_long_numbers(some: list[Any]) -> None:
    blobs = [encode(document) for document in some]
    for scanner in (FAST, PLAIN):
        for document, hints in zip(some, scanner.suspects(blobs), strict=True):
            for text in texts_in(document):
                assert scanner.scan_with(text, hints) == REFERENCE.scan(text)


@pytest.mark.parametrize("gap", [" ", '"', "\n", "\u00a0", "\u4f60", "\U0001d4b3"])
@pytest.mark.parametrize(
    "word", ["call", "context", "during", "cellphone", "ssn", "security", "discard", "a creditcard"]
)
def test_words_are_heeded_to_the_last_character_of_their_reach(word: str, gap: str) -> None:
    values = (
        "2125550123",
        "2 1 2 5 5 5 0 1 2 3",
        "(212)  -  -  5  -  5 012",
        "536228765",
        "4000 0000 0000 0002",
        "7" * 12,
    )
    # What follows keeps the next text out of sight.
    some = [f"{word}{gap * length} {value}{'.' * 400}" for value in values for length in range(52)]
    assert FAST.scan_all(some) == REFERENCE.scan_all(some)


@pytest.mark.parametrize(
    "label", ["home", "mobile", "(office", " - desk", "\u2003-\u2003work", '"', ", on 2024-01-15."]
)
@pytest.mark.parametrize("before", ["", "call ", "order ", "call or text, order "])
def test_what_stands_behind_a_number_is_heeded(before: str, label: str) -> None:
    values = (
        "2125550123",
        "555-0123",
        "5 5 5  -  -  -  - 0 1 2 3",
        "(212)  -  -  5  -  5 012",
        "2024-01-15",
        "1.2.2024",
    )
    extensions = ("", "x5", " ext. 123456", "\u2003ext.\u2003123456")
    some = [
        f"{'.' * 400}{before}{value}{extension}{blank}{label}{'.' * 400}"
        for value in values
        for extension in extensions
        for blank in ("", " ")
    ]
    assert FAST.scan_all(some) == REFERENCE.scan_all(some)


@pytest.mark.parametrize("value", [value for value in VALUES if REFERENCE.scan(value)])
def test_json_of_any_spelling_is_understood(value: str) -> None:
    (found,) = REFERENCE.scan(value)
    for spelled in (json.dumps({"a": [f"\t{value}\n"]}, indent=2), json.dumps(value).replace("/", "\\/")):
        (hints,) = FAST.suspects([spelled.encode()])
        assert [span.entity_type for span in FAST.scan_with(value, hints)] == [found.entity_type]


def test_words_in_other_alphabets_that_count_as_english_ones_are_known() -> None:
    beyond = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, sys.maxunicode + 1)]))
    labels = ("fax", "mobile", "cell", "office", "home", "work", "desk", "tel", "phone")
    alike = {letter: re.findall(letter, beyond, re.IGNORECASE) for letter in sorted(set("".join(labels)))}
    spelled = ["".join(each) for word in labels for each in product(*([letter, *alike[letter]] for letter in word))]
    assert len(spelled) > len(labels)
    found = FAST.scan_all([f"555-0123 {word}" for word in spelled])
    assert [len(spans) for spans in found] == [1] * len(spelled)


def test_no_digit_lies_beyond_where_they_are_looked_for() -> None:
    assert not [code for code in range(0x20000, sys.maxunicode + 1) if chr(code).isdecimal()]


ORDINARY = (
    "The quarterly report of 2024-01-15 10:30:00 shows $1,234,567.89, 12.5% up on 15/01/2023; see page 17.",
    "Call the function from the main thread; the message was sent on 2024-01-15 at 10:30, text in 26.4.2023 10:15.",
    "trace 550e8400-e29b-41d4-a716-446655440000, sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b, v10.20.30",
    "call order 12345678 or ticket #1234567 back, score 0.8437891234567, epoch 1700000000000",
    "std::vector<int> a(4096); x[0:10] = foo::bar(); see https://docs.example.org/v5/guide/33?page=4#s5",
    "1, 2, 3, 4, 5, 6, 7, 8, 9 and 1024x768, 128000 of 200000, (1990-2020), IT20 report, 10:30:15",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_not_suspect(text: str) -> None:
    assert FAST.suspects([encode({"content": text, "n": [1.5, 200000, 1700000000]})]) == [0]


def test_only_the_document_that_holds_something_is_suspect_wherever_in_it_that_is() -> None:
    nothing, long = encode(ORDINARY[0]), encode("words " * 120_000)
    for value in ("ann@example.com", "4111111111111111", "020 7946 0958", "203.0.113.77"):
        for text in (value, f"{value} {'words ' * 99}", f"{'words ' * 99} {value}"):
            blobs = [b"", nothing, long, encode(text), nothing, b"", long, long, encode([1, text]), nothing]
            hints = FAST.suspects(blobs)
            assert [at for at, hint in enumerate(hints) if hint] == [3, 8]
            assert hints[3] == FAST.suspects([encode(text)])[0]
    assert FAST.suspects([]) == []


def test_what_is_not_json_is_suspect_to_the_plain_prefilter() -> None:
    assert PLAIN.suspects([b"{", b"\xff", b'"words"', b"", b"[" * 100_000]) == [127, 127, 0, 0, 127]


def test_threads_scan_at_the_same_time() -> None:
    blobs = [encode(f"{at} words {VALUES[at % len(VALUES)]}") for at in range(2000)]
    expected = FAST.suspects(blobs)
    seen: list[bool] = []
    together = threading.Barrier(4)

    def scan() -> None:
        together.wait()
        seen.extend(FAST.suspects(blobs) == expected for _ in range(10))

    threads = [threading.Thread(target=scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 40


@pytest.mark.parametrize(
    "unit", ["1 ", "1", "a@a.aa.", "\n1", "call 1 ", "card 1\xe9 ", "::1", "1.1", "ab12cd34 ", "+1-"]
)
def test_a_dense_document_costs_no_more_than_its_length(unit: str) -> None:
    blob = encode(unit * (100_000 // len(unit)))
    started = time.perf_counter()
    FAST.suspects([blob])
    assert time.perf_counter() - started < 5.0


def test_where_hyperscan_is_not_installed_it_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(fastest_prefilter([]), HyperscanPrefilter)
    monkeypatch.setitem(sys.modules, "detectors.pii.hyperscan_prefilter", None)
    assert isinstance(fastest_prefilter([]), PlainPrefilter)


def test_where_hyperscan_does_not_know_the_processor_it_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsupported:
        def __init__(self, mode: int) -> None:
            raise hyperscan.error("error code -12")

    monkeypatch.setattr(hyperscan, "Database", Unsupported)
    with pytest.raises(MissingBackend, match="processor"):
        HyperscanPrefilter([])
    assert [s.entity_type for s in Scanner().scan("write to ann@example.com")] == ["EMAIL_ADDRESS"]


def test_unwanted_types_are_not_suspected() -> None:
    emails = Scanner(ScannerSettings(entity_types=("EMAIL_ADDRESS",)))
    assert emails.suspects([encode("203.0.113.7"), encode("ann@example.com")]) == [0, 1]
