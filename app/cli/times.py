"""Times on the command line: `2h` ago, a day, or a moment in ISO 8601."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Moment(click.ParamType):
    """Unix seconds of what was written: `90m`, `2h` or `7d` ago, or ISO 8601, in UTC unless it says otherwise."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds, or end with a usage error."""
        if isinstance(value, int | float):
            return float(value)
        ago = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
        if ago:
            return time.time() - int(ago.group(1)) * _UNITS[ago.group(2)]
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 90m, 2h or 7d (ago), 2026-05-31 or 2026-05-31T14:30", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


MOMENT: Final = Moment()


def iso(seconds: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC, to the second."""
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
