"""Files as they are: plain, packed, from a pipe, broken."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.replay import replay as command
from ingest.replay import lines as lines_module
from ingest.replay.errors import UnreadableFileError
from ingest.replay.lines import file_size, read_lines

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n" + "".join(
    f"2023-11-16 18:17:{second:02d}.5000000,{100 + second},{second}\r\n" for second in range(10)
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_bytes(AZURE.encode())
    return path


def invoked(*arguments: str | Path, **given: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments], **given)  # type: ignore[arg-type]


def planned(*arguments: str | Path) -> dict[str, object]:
    result = invoked(*arguments, "--to", "kafka", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_plain_and_packed_files_have_the_same_lines(trace: Path) -> None:
    packed = trace.with_suffix(".gz")
    # Two members, as appending to a packed file leaves them.
    packed.write_bytes(gzip.compress(AZURE[:100].encode()) + gzip.compress(AZURE[100:].encode()))
    plain = list(read_lines(str(trace)))
    assert [line.data for line in read_lines(str(packed))] == [line.data for line in plain]
    assert plain[1].data.endswith(b",100,0")
    for path, found in ((trace, plain), (packed, list(read_lines(str(packed))))):
        assert found[-1].place == file_size(str(path)) == path.stat().st_size


def test_a_byte_order_mark_is_no_part_of_the_first_line(trace: Path) -> None:
    trace.write_bytes(b"\xef\xbb\xbf" + AZURE.encode())
    assert next(read_lines(str(trace))).data.startswith(b"TIMESTAMP")
    assert planned(trace)["count"] == 10


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 8)
    trace.write_bytes(b"x" * 8 + b"\n" + b"y" * 100 + b"\nend")
    assert [line.data for line in read_lines(str(trace))] == [b"x" * 8, b"y" * 9, b"end"]


@pytest.mark.parametrize("cut", [10, -10])
def test_a_packed_file_that_is_cut_or_broken_is_told(trace: Path, cut: int) -> None:
    trace.write_bytes(gzip.compress(AZURE.encode())[:cut])
    with pytest.raises(UnreadableFileError, match=str(trace)):
        list(read_lines(str(trace)))


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="No such file"):
        next(read_lines(str(tmp_path / "none")))
    with pytest.raises(UnreadableFileError, match="Is a directory"):
        next(read_lines(str(tmp_path)))


def test_a_dry_run_counts_the_window_and_sends_nothing(trace: Path) -> None:
    told = planned(trace, "--from", "2", "--until", "0.1m", "--speed", "2")
    assert (told["form"], told["count"], told["span"], told["seconds"]) == ("azure", 4, 3.0, 1.5)
    assert planned(trace, "--limit", "3")["output_tokens"] == 0 + 1 + 2
    assert "capped" in invoked(trace, "--to", "sidecar", "--dry-run", "--max-output-tokens", "2").stdout


def test_a_bad_line_ends_a_replay_unless_such_lines_are_counted(trace: Path) -> None:
    trace.write_bytes(AZURE.encode() + b"broken\n")
    refused = invoked(trace, "--to", "kafka", "--dry-run")
    assert "line 12: 1 columns" in str(refused.exception)
    assert planned(trace, "--skip-bad")["skipped"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "kafka", "--speed", "0"], "is no speed"),
        (["--to", "kafka", "--speed", "nan"], "is no speed"),
        (["--to", "kafka", "--from", "yesterday"], "is no offset"),
        (["--to", "kafka", "--from", "5", "--until", "5"], "--until must be after --from"),
        (["--to", "kafka", "--concurrency", "5"], "--concurrency does nothing with --to kafka"),
        (["--to", "sidecar", "--text"], "--text does nothing with --to sidecar"),
        (["--to", "sidecar", "--url", "127.0.0.1:9000"], "is not an address"),
        (["--to", "sidecar", "--url", "http://127.0.0.1:9000/v2"], "without path"),
        ([], "--to"),
    ],
)
def test_options_that_cannot_work_are_refused(trace: Path, arguments: list[str], said: str) -> None:
    result = invoked(trace, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_program_that_waits_for_standard_input_ends_at_ctrl_c(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from ingest.replay.run import open_trace, replay\n"
        "from ingest.replay.schedule import when_they_arrive\n"
        "from ingest.replay.settings import ReplaySettings\n"
        "from ingest.replay.tally import Tally\n"
        "from inferwatch.clock import SystemClock\n"
        "from tests.unit.replay.traces import Remembered\n"
        "async def run():\n"
        "    stop, tally = asyncio.Event(), Tally(0.1)\n"
        "    asyncio.get_running_loop().add_signal_handler(2, stop.set)\n"
        "    dues = when_they_arrive(open_trace(ReplaySettings('-', reorder=0), tally).arrivals, None)\n"
        "    class Told(Remembered):\n"
        "        async def send(self, due, start): print('sent', flush=True)\n"
        "    await replay(dues, Told(), tally, SystemClock(), stop)\n"
        "    print('interrupted', tally.interrupted)\n"
        "asyncio.run(run())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join(AZURE.splitlines()[:3]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "sent\n"
        process.send_signal(signal.SIGINT)
        # Standard input stays open: nobody ends the thread that waits for it.
        assert process.wait(timeout=30) == 0
        assert "interrupted True" in process.stdout.read()
        assert process.stderr is not None
        assert process.stderr.read() == ""
