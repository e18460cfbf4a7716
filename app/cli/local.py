"""Everything on this machine: up, demo."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import click


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path(".inferwatch"), show_default=True)
def up(data_dir: Path) -> None:
    """Start everything on this machine, until Ctrl-C.

    Triton, Kafka, ClickHouse, workers, sidecar, scraper, collector and dashboard.
    """
    from app.demo.run import up as run

    run(os.environ, data_dir, _say)


@click.command()
@click.option("--once", is_flag=True, help="Run the scenario on free ports, stop everything, report.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where to keep everything. [default: .inferwatch/demo, emptied first; with --once a temporary folder]",
)
def demo(once: bool, as_json: bool, data_dir: Path | None) -> None:
    """Start everything, send real prompts, and let three incidents happen.

    Ctrl-C stops everything. With --once it ends by itself, and exits with 1 when an event was lost or counted twice,
    a planted value can be found, or an incident was not noticed.
    """
    from app.demo.report import as_text
    from app.demo.run import once as run_once
    from app.demo.run import show

    if not once:
        show(os.environ, data_dir, _say)
        return
    report = run_once(os.environ, data_dir, _say)
    click.echo(json.dumps(report.as_dict()) if as_json else as_text(report))
    sys.exit(0 if report.passed else 1)


def _say(line: str) -> None:
    """Progress goes to standard error: standard output is for the result."""
    click.echo(line, err=True)


COMMANDS: Final = (up, demo)
