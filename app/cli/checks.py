"""Commands that look and tell: migrate, health, doctor."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Final

import click

from app import settings
from app.local.probes import http_ok


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(as_json: bool) -> None:
    """Create the database's tables, or bring them and their retention up to date. Safe to repeat."""
    from app.schema import bring_up_to_date

    loaded = settings.load(os.environ)
    changed = bring_up_to_date(loaded.store, loaded.retention)
    if as_json:
        click.echo(json.dumps({"changed": list(changed)}))
    else:
        click.echo("\n".join(changed) or "The schema is up to date.")


@click.command()
@click.argument("url")
@click.option("--seconds", default=3.0, show_default=True, help="How long to wait for the answer.")
def health(url: str, seconds: float) -> None:
    """Exit with 0 when URL answers with status 200, else with 1. For health checks of containers."""
    if not http_ok(url, seconds):
        click.echo(f"{url} does not answer with 200", err=True)
        sys.exit(1)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Say what is reachable and what is misconfigured. Exits with 1 when something that is needed is not there."""
    from app.doctor import examine

    findings = examine(settings.load(os.environ))
    if as_json:
        click.echo(json.dumps({"findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            verdict = "ok  " if finding.ok else "BAD " if finding.needed else "note"
            click.echo(f"{verdict} {finding.name}: {finding.says}")
    sys.exit(0 if all(finding.ok or not finding.needed for finding in findings) else 1)


COMMANDS: Final = (migrate, health, doctor)
