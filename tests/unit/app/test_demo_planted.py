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
def test_planted_values_are_recognised_as_their_types_in_any_prompt(seed: int) -> None:
    rng = random.Random(seed)
    made = list(itertools.islice(values(rng), 26))
    for one, other in itertools.pairwise(made):
        text = prompts.with_values(prompts.banking(rng), [one.value, other.value], rng)
        found = [(span.entity_type, text[span.start : span.end]) for span in SCANNER.scan(text)]
        assert found == [(one.entity_type, one.value), (other.entity_type, other.value)]
        masked = SCANNER.mask(text)
        assert one.value not in masked
        assert other.value not in masked
        assert f"<{one.entity_type}>" in masked


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
