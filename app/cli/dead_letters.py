"""dead-letters: what could not be processed, shown, explained and sent back."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from app import settings
from app.cli.times import MOMENT, iso

if TYPE_CHECKING:
    from processors.dead_letters.browse import Found, Wanted
    from processors.dead_letters.letter import Letter

_PREVIEW: Final = 160
_MOST_OUTCOMES: Final = 20


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be processed: list it, look at it, send it back.

    An ID is TOPIC:PARTITION:OFFSET:LINE, where the event stood, or PARTITION:OFFSET in the dead-letter topic itself.
    """


@dead_letters.command("list")
@click.option("--reason", default="", help="Only those whose reason has this in it.")
@click.option("--topic", default="", help="Only those that stood in this topic.")
@click.option("--partition", type=int, help="Only those that stood in this partition.")
@click.option("--since", type=MOMENT, help="Only from then on: 2h or 7d (ago), or 2026-05-31T14:00.")
@click.option("--until", type=MOMENT, help="Only before then.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The latest so many.")
@click.option("--unmasked", is_flag=True, help="Show payloads as they are, with personal data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(
    reason: str,
    topic: str,
    partition: int | None,
    since: float | None,
    until: float | None,
    limit: int,
    unmasked: bool,
    as_json: bool,
) -> None:
    """List dead letters, the latest first, each once however often it was set apart."""
    from processors.dead_letters.browse import Wanted, browse

    wanted = Wanted(reason=reason, topic=topic, partition=partition, since=since, until=until)
    found = browse(settings.load(os.environ).kafka, wanted, limit)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "dead_letters": [_entry(letter, found, unmasked) for letter in found.letters],
                    "distinct": found.distinct,
                    "repeats": found.repeats,
                    "by_reason": dict(found.reasons.most_common()),
                }
            )
        )
        return
    for letter in reversed(found.letters):
        entry = _entry(letter, found, unmasked)
        times = f", {entry['times']} times" if entry["times"] > 1 else ""
        click.echo(f"{entry['at'] or 'no time'}  {entry['id']}{times}{', replayed' if entry['replayed'] else ''}")
        click.echo(f"    {entry['reason']}\n    {entry['payload'] or '(empty)'}")
    click.echo(f"{found.distinct:,} dead letters, {len(found.letters):,} shown", err=True)
    for text, count in found.reasons.most_common(10):
        click.echo(f"{count:>9,}  {_printable(text)}", err=True)


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@click.option("--characters", default=4_000, show_default=True, type=click.IntRange(1, 10**7), help="Of the payload.")
@click.option("--unmasked", is_flag=True, help="Show the payload as it is, with personal data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(letter_id: str, characters: int, unmasked: bool, as_json: bool) -> None:
    """Show one dead letter: where it stood, why it is one, what to do, and its payload."""
    from processors.dead_letters.browse import find
    from processors.dead_letters.explain import hint

    letter, replayed = find(settings.load(os.environ).kafka, letter_id)
    entry = {
        **_described(letter),
        "replayed": replayed,
        "hint": hint(letter.reason),
        "headers": {name: _printable(value) for name, value in letter.headers.items()},
        "payload": _payload(letter, characters, unmasked),
    }
    if as_json:
        click.echo(json.dumps(entry))
        return
    click.echo(f"{entry['id']}\n  set apart  {entry['at'] or 'no time'}{', replayed since' if replayed else ''}")
    click.echo(f"  reason     {entry['reason']}")
    click.echo(textwrap.fill(str(entry["hint"]), 100, initial_indent="  meaning    ", subsequent_indent=" " * 13))
    click.echo(f"  stands at  {letter.partition}:{letter.offset} of the dead-letter topic")
    for name, value in entry["headers"].items():
        click.echo(f"  header     {_printable(name)}: {value}")
    click.echo(f"  payload    {letter.size:,} bytes\n{entry['payload'] or '(empty)'}")


@dead_letters.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Instead of IDs: all, or all that the options leave.")
@click.option("--reason", default="", help="With --all: only those whose reason has this in it.")
@click.option("--topic", default="", help="With --all: only those that stood in this topic.")
@click.option("--partition", type=int, help="With --all: only those that stood in this partition.")
@click.option("--since", type=MOMENT, help="With --all: only from then on.")
@click.option("--until", type=MOMENT, help="With --all: only before then.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--anyway", is_flag=True, help="Also what would become a dead letter again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object. Needs --yes or --dry-run.")
def replay(
    ids: tuple[str, ...],
    everything: bool,
    reason: str,
    topic: str,
    partition: int | None,
    since: float | None,
    until: float | None,
    dry_run: bool,
    anyway: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send dead letters back to where they came from, each once.

    What was replayed before is not sent again, and neither is what would become a dead letter again. Exits with 1 when
    anything was left out for another reason than that it was replayed before.
    """
    from processors.dead_letters.browse import Wanted

    wanted = Wanted(reason=reason, topic=topic, partition=partition, since=since, until=until)
    if bool(ids) == everything:
        raise click.UsageError("name the IDs of dead letters, or give --all")
    if ids and wanted != Wanted():
        raise click.UsageError("--reason, --topic, --partition, --since and --until go with --all, not with IDs")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json needs --yes or --dry-run")
    fates = _replay(ids, wanted, dry_run=dry_run, anyway=anyway, ask=not (yes or dry_run), quiet=as_json)
    if as_json:
        click.echo(json.dumps(fates))
    sys.exit(1 if fates["left out"] or fates["under way"] else 0)


def _replay(
    ids: tuple[str, ...], wanted: Wanted, *, dry_run: bool, anyway: bool, ask: bool, quiet: bool
) -> dict[str, Any]:
    from inferwatch.clock import SystemClock
    from processors.dead_letters.errors import NoSuchLetter
    from processors.dead_letters.replay import Replay

    loaded = settings.load(os.environ)
    fates: Counter[str] = Counter()
    outcomes: list[dict[str, str]] = []
    with Replay(loaded.kafka, loaded.processors.enrich, SystemClock(), anyway=anyway) as run:
        count = run.find(wanted, ids)
        for absent in run.absent(ids):
            raise NoSuchLetter(absent, "there is no such dead letter, or it is older than the topic keeps them")
        if ask and count:
            click.confirm(f"Send {count:,} dead letters back?", abort=True, err=True)
        for outcome in run.run(dry=dry_run):
            fates[outcome.fate] += 1
            told = {"id": str(outcome.key), "outcome": outcome.fate, "why": _printable(outcome.why)}
            if quiet:
                outcomes.append(told)
            elif sum(fates.values()) <= _MOST_OUTCOMES or ids:
                click.echo(f"{told['id']}: {told['outcome']}{', ' if told['why'] else ''}{told['why']}")
    if not quiet:
        click.echo(", ".join(f"{times:,} {fate}" for fate, times in fates.items()) or "nothing to replay")
    known = ("replayed", "would be replayed", "already replayed", "under way", "left out")
    return {**{fate: fates[fate] for fate in known}, "dead_letters": outcomes}


def _described(letter: Letter) -> dict[str, Any]:
    return {
        "id": _printable(str(letter.key)),
        "topic": _printable(letter.key.topic),
        "partition": letter.key.partition,
        "offset": letter.key.offset,
        "index": None if letter.key.index < 0 else letter.key.index,
        "reason": _printable(letter.reason),
        "at": iso(letter.at),
        "dead_letter_partition": letter.partition,
        "dead_letter_offset": letter.offset,
        "bytes": letter.size,
    }


def _entry(letter: Letter, found: Found, unmasked: bool) -> dict[str, Any]:
    return {
        **_described(letter),
        "times": max(1, found.times[letter.key]),
        "replayed": letter.key in found.replayed,
        "payload": _payload(letter, _PREVIEW, unmasked),
    }


def _payload(letter: Letter, most: int, unmasked: bool) -> str:
    from detectors.pii.scanner import Scanner
    from processors.dead_letters.shown import masked
    from processors.dead_letters.shown import unmasked as as_it_is

    return as_it_is(letter.value, most) if unmasked else masked(letter.value, Scanner(), most)


def _printable(text: str) -> str:
    from processors.dead_letters.shown import printable

    return printable(text)


COMMANDS: Final = (dead_letters,)
