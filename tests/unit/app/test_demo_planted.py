"""The demo's personal data is what it says it is: found as its type in every prompt, and searchable because unique."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from app.demo import prompts
from app.demo.planted import values
from detectors.pii.scanner import Scanner

SCANNER = Scanner()
seeds = st.integers(0, 2**32)


@settings(max_examples=60)
@given(seeds)
def test_a_planted_value_is_recognised_as_its_type_in_any_prompt(seed: int) -> None:
    rng = random.Random(seed)
    for planted in itertools.islice(values(rng), 25):
        text = prompts.with_value(prompts.banking(rng), planted.value, rng)
        (span,) = SCANNER.scan(text)
        assert (span.entity_type, text[span.start : span.end]) == (planted.entity_type, planted.value)
        masked = SCANNER.mask(text)
        assert planted.value not in masked
        assert f"<{planted.entity_type}>" in masked


@given(seeds)
def test_no_value_is_planted_twice_and_every_type_is(seed: int) -> None:
    planted = list(itertools.islice(values(random.Random(seed)), 300))
    assert len({one.value for one in planted}) == 300
    assert Counter(one.entity_type for one in planted).keys() == {
        "EMAIL_ADDRESS",
        "CREDIT_CARD",
        "IBAN_CODE",
        "PHONE_NUMBER",
        "US_SSN",
    }


def test_values_go_on_when_one_type_is_used_up() -> None:
    planted = list(itertools.islice(values(random.Random(1)), 6_000))
    assert len({one.value for one in planted}) == 6_000
    assert Counter(one.entity_type for one in planted)["PHONE_NUMBER"] <= 1_000


@given(seeds)
def test_prompts_without_planted_values_carry_nothing_personal(seed: int) -> None:
    rng = random.Random(seed)
    for text in (prompts.banking(rng), prompts.cooking(rng), prompts.too_long(rng, words=100)):
        assert SCANNER.scan(text) == ()
        assert "{" not in text


def test_the_two_topics_are_apart_and_varied() -> None:
    rng = random.Random(3)
    banking = {prompts.banking(rng) for _ in range(300)}
    cooking = {prompts.cooking(rng) for _ in range(300)}
    assert not banking & cooking
    assert len(banking) > 100
    assert len(cooking) > 50


def test_a_document_is_longer_than_the_context() -> None:
    assert len(prompts.too_long(random.Random(1)).split()) > 4_000
