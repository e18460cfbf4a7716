"""What is said again and again is let through now and then."""

from __future__ import annotations

import logging

from inferwatch.seldom import REPEATED_AFTER, Seldom
from tests.unit.sdk.events import HandClock


def line(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("inferwatch.kafka", logging.ERROR, "kafka.py", 1, message, values, None)


def test_a_line_passes_again_after_its_time_and_others_at_once() -> None:
    clock = HandClock()
    seldom = Seldom(clock.elapsed)
    down, away = line("h:9092 refused after %d ms", 1), line("h:9092 cannot be resolved")
    assert [seldom.filter(each) for each in (down, away, down, away)] == [True, True, False, False]
    assert not seldom.filter(line("h:9092 refused after %d ms", 20_000))
    clock.move(REPEATED_AFTER)
    assert [seldom.filter(each) for each in (down, down)] == [True, False]


def test_any_number_of_different_lines_is_remembered_in_bounds() -> None:
    clock = HandClock()
    seldom = Seldom(clock.elapsed)
    words = [f"{chr(97 + n // 26 // 26)}{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(5_000)]
    assert all(seldom.filter(line(word)) for word in words)
    assert len(seldom._silent_until) <= 256
