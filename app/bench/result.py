"""The one form of every benchmark's result."""

from __future__ import annotations

import dataclasses
import importlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a benchmark measured. `figures` is flat, and every name carries its unit."""

    parameters: dict[str, Any]
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: what it says of itself, the module that has its `run`, and the numbers that `run` can be given."""

    says: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)

    def run(self, say: Say, **options: int) -> Outcome:
        """Run it. Its module is imported only now: most need servers and models that a command line does not."""
        outcome: Outcome = importlib.import_module(self.module).run(say, **options)
        return outcome


@dataclass(frozen=True, slots=True)
class Result:
    """A benchmark that was run, and on what machine."""

    name: str
    machine: str
    parameters: dict[str, Any]
    figures: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dataclasses.asdict(self)


def machine() -> str:
    """Return processor, cores and memory in words."""
    cores = len(os.sched_getaffinity(0))
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {cores} cores, {gigabytes:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
