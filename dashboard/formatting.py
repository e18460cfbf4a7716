"""Numbers as people read them, always with their unit. What is unknown says so; it is never a zero."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

NOTHING: Final = "\N{EN DASH}"
UNKNOWN: Final = "unknown"


def count(value: int | None) -> str:
    """Return `1,234`, from 100,000 on `123.5k` or `4.56M`."""
    if value is None:
        return NOTHING
    if abs(value) < 100_000:
        return f"{value:,}"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.2f}{letter}"
    return f"{value / 1e3:.1f}k"


def plural(value: int, one: str, many: str | None = None) -> str:
    """Return `1 request`, `2,000 requests`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def seconds(value: float | None) -> str:
    """Return a duration given in seconds in the unit that suits it: µs, ms, s, min, h, d."""
    if value is None or math.isnan(value):
        return NOTHING
    if value <= 0:
        return "0 s"
    if value < 0.9995e-3:
        return f"{_digits(value * 1e6)} µs"
    if value < 0.9995:
        return f"{_digits(value * 1e3)} ms"
    if value < 59.95:
        return f"{_digits(value)} s"
    whole = round(value)
    if whole < 3_600:
        return _pair(whole, 60, "min", "s")
    if whole < 86_400:
        return _pair(whole // 60, 60, "h", "min")
    return _pair(whole // 3_600, 24, "d", "h")


def money(value: Decimal | None) -> str:
    """Return US dollars, small sums with three digits that count; `unknown` where there is no price."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "$0.00"
    if abs(value) < Decimal("0.1"):
        digits = 2 - value.adjusted()
        return f"${value:.{min(digits, 9)}f}"
    return f"${value:,.2f}" if abs(value) < 10_000 else f"${value:,.0f}"


def share(value: float | None) -> str:
    """Return a share between 0 and 1 in per cent; a little is never shown as none, nor almost all as all."""
    if value is None:
        return NOTHING
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    if value < 0.001:
        return "<0.1 %"
    if value > 0.999:
        return ">99.9 %"
    return f"{value * 100:.1f} %"


def rate(requests: int, length: float) -> str:
    """Return requests in `length` seconds as `/s`, or `/min` where that is under one."""
    return rate_of(requests / length)


def rate_of(each_second: float) -> str:
    """Return what happens so often a second as `/s`, or `/min` where that is under one."""
    if each_second == 0:
        return "0/s"
    if each_second >= 1:
        return f"{_digits(each_second)}/s"
    return f"{_digits(each_second * 60)}/min"


def number(value: float | None) -> str:
    """Return a statistic with four digits that count."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:.3e}"


def change(now: float | None, before: float | None) -> str | None:
    """Return how `now` differs from `before` in per cent with a sign; None where that says nothing."""
    if now is None or not before:
        return None
    ratio = now / before - 1
    if abs(ratio) < 0.005:
        return "+0 %"
    return f"{ratio * 100:+.0f} %" if abs(ratio) < 10 else f"{now / before:.0f} times"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was."""
    past = max(1, round((now - moment).total_seconds()))
    return f"{past} s ago" if past < 60 else f"{seconds(past)} ago"


def clock(moment: datetime, now: datetime, zone: tzinfo) -> str:
    """Return the time of day in `zone`, with the date where it is not today's."""
    local = moment.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M:%S}"
    return f"{local:%d %b %H:%M}"


def words(length: timedelta) -> str:
    """Return `5 minutes`, `hour`, `24 hours`: what follows "the last" and "per"."""
    minutes = round(length.total_seconds() / 60)
    whole = plural(minutes, "minute") if minutes < 60 else plural(minutes // 60, "hour")
    return whole.removeprefix("1 ")


def named(value: str, what: str) -> str:
    """Return the value, or `no team` and the like where it is empty."""
    return value or f"no {what}"


def _digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _pair(value: int, size: int, large: str, small: str) -> str:
    whole, rest = divmod(value, size)
    return f"{whole:,} {large} {rest} {small}" if rest else f"{whole:,} {large}"
