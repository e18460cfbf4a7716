"""No text makes the scanner slow: what is quadratic would take minutes at this size."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.pii.scanner import Scanner

SCANNER = Scanner()
SIZE = 100_000


@pytest.mark.parametrize(
    "unit",
    ["1", "1 ", "1-", "a@", "@", "a.", "1.", "a", "a:", "::", "eyJ", "eyJ.", "+1", "(1", "GB82", "GB82 ", "sk-", "-",
     " ", "a@a.", "1111 ", "+1 212 ", "-----BEGIN PRIVATE KEY-----", "AKIA", "ghp_", "phone 1 "],
)  # fmt: skip
def test_repetition_costs_no_more_than_its_length(unit: str) -> None:
    text = (unit * (SIZE // len(unit) + 1))[:SIZE]
    started = time.perf_counter()
    SCANNER.scan(text)
    assert time.perf_counter() - started < 10.0


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-.()@:/ abcdefGB\n", max_size=200))
def test_findings_are_sorted_apart_and_within_the_text_and_masking_removes_them(text: str) -> None:
    spans = SCANNER.scan(text)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert SCANNER.mask(text).count("<") == len(spans)
