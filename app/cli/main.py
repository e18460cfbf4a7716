"""`inferwatch`: the commands, and how errors are shown."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

import click

from app.cli import bench, checks, collector, dead_letters, erase, local, money, replay, scraper, services, verify
from app.errors import AppError
from app.local.errors import LocalError
from dashboard.errors import DashboardError
from detectors.errors import DetectorError
from inferwatch.errors import InferwatchError
from ingest.errors import IngestError
from processors.errors import ProcessorError
from serving.errors import ServingError
from storage.errors import StorageError

_OURS: Final = (
    AppError,
    LocalError,
    DashboardError,
    DetectorError,
    InferwatchError,
    IngestError,
    ProcessorError,
    ServingError,
    StorageError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="inferwatch-platform", prog_name="inferwatch")
def cli() -> None:
    """Streaming observability for models served by NVIDIA Triton.

    Every setting is an environment variable; `inferwatch doctor` shows what they come to and what is reachable.
    """
    level = os.environ.get("INFERWATCH_LOG_LEVEL", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise click.UsageError(f"INFERWATCH_LOG_LEVEL is {level!r}; expected DEBUG, INFO, WARNING or ERROR")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # What they warn of, our own errors say.
    for driver in ("urllib3", "clickhouse_connect"):
        logging.getLogger(driver).setLevel(max(logging.ERROR, logging.getLevelNamesMapping()[level]))


for module in (services, collector, scraper, local, checks, verify, dead_letters, money, erase, replay, bench):
    for command in module.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error and exit status 2."""
    try:
        cli()
    except _OURS as error:
        click.echo(f"inferwatch: {error}", err=True)
        sys.exit(2)
