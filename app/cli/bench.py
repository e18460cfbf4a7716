"""`inferwatch bench`: one subcommand for each benchmark."""

from __future__ import annotations

import json
from typing import Final

import click

from app.bench.result import Benchmark, Say
from app.bench.runner import BENCHMARKS, as_text, run, run_everything


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.group(invoke_without_command=True)
@click.option("--all", "run_all", is_flag=True, help="Run every benchmark and write bench/results.md.")
@click.pass_context
def bench(context: click.Context, run_all: bool) -> None:
    """Measure this machine; without a name, list the benchmarks.

    Figures of one run may be compared with each other, those of two machines may not.
    """
    if run_all:
        run_everything(_say)
    elif context.invoked_subcommand is None:
        for name, benchmark in BENCHMARKS.items():
            click.echo(f"{name:<12} {benchmark.says}")


def _command(name: str, benchmark: Benchmark, say: Say) -> click.Command:
    def measure(as_json: bool, **options: int | None) -> None:
        given = {option: value for option, value in options.items() if value is not None}
        result = run(name, say, given)
        click.echo(json.dumps(result.as_dict()) if as_json else as_text(result))

    parameters: list[click.Parameter] = [
        click.Option([f"--{option.replace('_', '-')}"], type=click.IntRange(1), help=says)
        for option, says in benchmark.options.items()
    ]
    parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."))
    return click.Command(name, params=parameters, callback=measure, help=f"Measure {benchmark.says}.")


for _name, _benchmark in BENCHMARKS.items():
    bench.add_command(_command(_name, _benchmark, _say))

COMMANDS: Final = (bench,)
