"""Options of `inferwatch replay`, and the settings that they come to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from ingest.replay.settings import SLOWEST

if TYPE_CHECKING:
    from ingest.replay.settings import EventSettings, Labels, ReplaySettings, RequestSettings

C = TypeVar("C", bound=Callable[..., Any])
To = Literal["sidecar", "kafka"]

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_NOT_FOR: Final[dict[To, tuple[str, ...]]] = {
    "sidecar": ("ttft_ms", "tpot_ms", "text"),
    "kafka": ("url", "route", "max_input_tokens", "max_output_tokens", "concurrency", "drop_late", "timeout"),
}


class Speed(click.ParamType):
    """A number from `ingest.replay.settings.SLOWEST` on, or `max`, which is None."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the speed, or end with a usage error."""
        if value == "max":
            return None
        with contextlib.suppress(ValueError):
            if SLOWEST <= (speed := float(value)) < float("inf"):
                return speed
        self.fail(f"{value!r} is no speed; write a number from {SLOWEST:g} on, or max", param, ctx)


class Offset(click.ParamType):
    """Seconds from the first arrival of a trace: `90`, `90s`, `1.5m` or `2h`."""

    name = "OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds, or end with a usage error."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smh]?)", value)
        if not found:
            self.fail(f"{value!r} is no offset; write 90, 90s, 1.5m or 2h from the first arrival", param, ctx)
        return float(found.group(1)) * _UNITS[found.group(2)]


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.path.strip("/") or parts.query or "@" in value:
        expected = "an address such as http://127.0.0.1:9000, without path, user and password"
        raise click.BadParameter(f"{value!r} is not {expected}")
    return value.rstrip("/")


def _options(*options: Callable[[C], C]) -> Callable[[C], C]:
    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return add


which = _options(
    click.option("--format", "form", type=click.Choice(["azure", "mooncake", "events"]),
                 help="Instead of recognising it."),
    click.option("--speed", type=Speed(), metavar="N|max", default="1", show_default=True,
                 help="Times faster; max: as fast as possible."),
    click.option("--limit", type=click.IntRange(1), help="Only so many."),
    click.option("--from", "begin", type=Offset(), default=0.0, help="Only from there in the trace: 90, 10m or 2h."),
    click.option("--until", "end", type=Offset(), help="Only up to there in the trace."),
    click.option("--skip-bad", is_flag=True, help="Count lines that cannot be read, instead of stopping at the first."),
    click.option("--reorder", default=10_000, show_default=True, type=click.IntRange(0, 10**6),
                 help="Places that a line may be away from its place in time."),
)  # fmt: skip
names = _options(
    click.option("--model", help="Model. [default: the recorded one, or smollm2]"),
    click.option("--team", help="Team. [default: the recorded one]"),
    click.option("--environment", help="Environment. [default: the recorded one]"),
    click.option("--service", help="Service. [default: the recorded one]"),
    click.option("--seed", default=1, show_default=True, help="What text that is made is made of."),
)
for_sidecar = _options(
    click.option("--url", default="http://127.0.0.1:9000", show_default=True, callback=_url,
                 help="sidecar: its address."),
    click.option("--route", default="generate_stream", show_default=True,
                 type=click.Choice(["generate_stream", "generate", "chat"]), help="sidecar: what to ask."),
    click.option("--max-input-tokens", default=1_024, show_default=True, type=click.IntRange(1),
                 help="sidecar: longest prompt that is made."),
    click.option("--max-output-tokens", default=256, show_default=True, type=click.IntRange(1),
                 help="sidecar: longest answer that is asked for."),
    click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1, 10_000),
                 help="sidecar: requests at the same time; others wait and may be late."),
    click.option("--drop-late", is_flag=True, help="sidecar: drop what is late by the time its turn comes."),
    click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(0, min_open=True),
                 help="sidecar: seconds for a request and its answer."),
)  # fmt: skip
for_kafka = _options(
    click.option("--ttft-ms", default=200.0, show_default=True, type=click.FloatRange(0, 3_600_000),
                 help="kafka: assumed time to the first token, where the trace has none."),
    click.option("--tpot-ms", default=20.0, show_default=True, type=click.FloatRange(0, 3_600_000),
                 help="kafka: assumed time for each further token, likewise."),
    click.option("--text", is_flag=True, help="kafka: make meaningless text of about the right length."),
)  # fmt: skip


def refuse_what_does_nothing(context: click.Context, to: To) -> None:
    """End with a usage error where an option was given that only the other target knows."""
    for name in _NOT_FOR[to]:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} does nothing with --to {to}")


def replay_settings(file: str, given: dict[str, Any]) -> ReplaySettings:
    """Return what to replay and how fast, from the values of options."""
    from ingest.replay.settings import ReplaySettings
    from ingest.replay.window import Window

    if given["end"] is not None and given["end"] <= given["begin"]:
        raise click.UsageError("--until must be after --from")
    return ReplaySettings(
        path=file,
        form=given["form"],
        speed=given["speed"],
        window=Window(given["begin"], given["end"], given["limit"]),
        skip_bad=given["skip_bad"],
        reorder=given["reorder"],
        late_after=given["late_ms"] / 1000,
    )


def event_settings(given: dict[str, Any]) -> EventSettings:
    """Return how events are made, from the values of options."""
    from ingest.replay.settings import EventSettings

    return EventSettings(
        labels=_labels(given),
        ttft=given["ttft_ms"] / 1000,
        tpot=given["tpot_ms"] / 1000,
        text=given["text"],
        seed=given["seed"],
    )


def request_settings(given: dict[str, Any]) -> RequestSettings:
    """Return how requests are made, from the values of options."""
    from ingest.replay.settings import RequestSettings

    return RequestSettings(
        url=given["url"],
        route=given["route"],
        labels=_labels(given),
        most_input_tokens=given["max_input_tokens"],
        most_output_tokens=given["max_output_tokens"],
        concurrency=given["concurrency"],
        drop_late=given["drop_late"],
        timeout=given["timeout"],
        seed=given["seed"],
    )


def _labels(given: dict[str, Any]) -> Labels:
    from ingest.replay.settings import Labels

    return Labels(given["model"], given["team"], given["environment"], given["service"])
