"""Benchmarks have one form of result, shown and written in one way."""

from __future__ import annotations

import dataclasses
import json

import pytest

from app.bench.result import Result, machine
from app.bench.runner import BENCHMARKS, as_markdown, as_text

RESULT = Result("install", "a machine", {"runs": 3}, {"packages": 4, "import_ms_median": 1234.5678})


def test_a_result_survives_json() -> None:
    assert Result(**json.loads(json.dumps(RESULT.as_dict()))) == RESULT


def test_a_result_for_a_reader() -> None:
    assert as_text(RESULT).splitlines() == [
        "install on a machine",
        "  packages          4.000",
        "  import_ms_median  1,234.568",
    ]
    assert as_text(dataclasses.replace(RESULT, figures={})) == "install on a machine"


def test_a_result_as_a_section() -> None:
    section = as_markdown(RESULT)
    assert section.startswith("## install\n\nWhat the SDK costs")
    assert "Machine: a machine. Parameters: runs 3." in section
    assert "| import_ms_median | 1,234.568 |\n" in section
    assert "Parameters: none." in as_markdown(dataclasses.replace(RESULT, parameters={}))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_what_it_is(name: str) -> None:
    assert name == name.lower().replace("_", "-")
    assert BENCHMARKS[name].says[0].islower()
    assert not BENCHMARKS[name].says.endswith(".")


def test_the_machine_is_described_in_words() -> None:
    assert "cores" in machine()
    assert "Python 3" in machine()
