"""All benchmarks, and how their results are shown and written down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.bench.result import Benchmark, Result, Say, machine

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "end-to-end": Benchmark("the whole path, from prompt to message, as the demo plays it", "app.bench.end_to_end"),
    "faults": Benchmark(
        "what is lost or counted twice when workers, store and broker are killed while events flow",
        "app.bench.faults",
        {"kills": "How often an enrich worker is killed; 60 unless told.", "seed": "Of traffic and moments; 1."},
    ),
    "install": Benchmark("what the SDK costs an application: packages and import time", "app.bench.install"),
    "pipeline": Benchmark(
        "the enrich worker between a real broker and the real engine, beside the floor",
        "app.bench.pipeline",
        {
            "events": "How many events; 5,000,000 unless told.",
            "records_of": "Only one worker, on Kafka records of this many events.",
        },
    ),
    "queries": Benchmark(
        "how long each question takes over millions of inferences",
        "app.bench.queries",
        {
            "rows": "How many inferences; 20,000,000 unless told.",
            "runs": "How often each is asked; 20 unless told.",
        },
    ),
    "codecs": Benchmark(
        "bytes and processor time of each codec, column by column",
        "app.bench.codecs",
        {"rows": "How many rows; 1,000,000 unless told."},
    ),
    "index-cost": Benchmark(
        "what the indexes cost writers",
        "app.bench.index_cost",
        {"rows": "How many rows; 200,000 unless told."},
    ),
    "mirror": Benchmark(
        "what mirroring costs the thread that calls a model, beside OpenTelemetry's SDK",
        "app.bench.mirror",
        {"calls": "Calls of each; 20,000 unless told."},
    ),
    "sidecar": Benchmark(
        "what the sidecar adds to a call and how many it carries, beside nginx where that is installed",
        "app.bench.sidecar",
        {"rate": "Calls a second while latency is measured; 500 unless told.", "rounds": "Rounds; 5 unless told."},
    ),
    "outage": Benchmark(
        "what clients notice of a sidecar whose Kafka is gone, what it holds and what is lost",
        "app.bench.outage",
        {"rate": "Calls a second; 500 unless told.", "seconds": "With Kafka, without, and with again; 60 unless told."},
    ),
    "pressure": Benchmark(
        "the memory of an enrich worker whose store is away while traffic goes on",
        "app.bench.pressure",
        {"events": "How many events; 1,000,000 unless told.", "records_of": "Events in a record; 100 unless told."},
    ),
}
RESULTS: Final = Path("bench/results.md")


def run(name: str, say: Say, options: Mapping[str, int] | None = None) -> Result:
    """Run one benchmark with options of its own."""
    outcome = BENCHMARKS[name].run(say, **(options or {}))
    return Result(name, machine(), outcome.parameters, outcome.figures)


def run_everything(say: Say) -> None:
    """Run every benchmark, each in a process of its own, and write `bench/results.md`."""
    sections = []
    for name in BENCHMARKS:
        say(f"Benchmark {name}")
        command = [sys.executable, "-m", "app.cli", "bench", name, "--json"]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        sections.append(as_markdown(Result(**json.loads(printed))))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("# Benchmarks\n\nWritten by `make bench`.\n\n" + "\n".join(sections))
    say(f"Written to {RESULTS}")


def as_text(result: Result) -> str:
    """Return a result for a reader."""
    width = max(map(len, result.figures), default=0)
    rows = [f"  {name:<{width}}  {value:,.3f}" for name, value in result.figures.items()]
    return "\n".join([f"{result.name} on {result.machine}", *rows])


def as_markdown(result: Result) -> str:
    """Return a result as a section with a table."""
    parameters = ", ".join(f"{name} {value}" for name, value in result.parameters.items()) or "none"
    rows = "".join(f"| {name} | {value:,.3f} |\n" for name, value in result.figures.items())
    about = f"{BENCHMARKS[result.name].says}. Machine: {result.machine}. Parameters: {parameters}."
    return f"## {result.name}\n\n{about[:1].upper()}{about[1:]}\n\n| figure | value |\n|---|---:|\n{rows}"
