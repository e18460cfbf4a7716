"""What the SDK costs an application that installs it: packages, and the time of `import inferwatch`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

from app.bench.result import Outcome, Say

SDK: Final = Path(__file__).resolve().parents[2] / "ingest" / "sdk"
_RUNS: Final = 15
_TIMED: Final = "import time; t = time.perf_counter(); import inferwatch; print(time.perf_counter() - t)"


def run(say: Say) -> Outcome:
    """Install the SDK into an empty environment and import it, in a fresh process each time."""
    with tempfile.TemporaryDirectory(prefix="inferwatch-install-") as folder:
        say("Installing the SDK into an empty environment")
        python = install(Path(folder))
        milliseconds = [import_seconds(python) * 1000 for _ in range(_RUNS)]
        return Outcome(
            {"runs": _RUNS},
            {
                "packages": len(installed(python)),
                "import_ms_median": statistics.median(milliseconds),
                "import_ms_slowest": max(milliseconds),
            },
        )


def install(folder: Path) -> Path:
    """Make an environment with nothing but the SDK in it; return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(SDK)], check=True, stdout=sys.stderr)
    return python


def installed(python: Path) -> list[str]:
    """Return the packages of an environment, other than what every environment begins with."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True).stdout
    return sorted(item["name"] for item in json.loads(listed) if item["name"] not in ("pip", "setuptools", "wheel"))


def import_seconds(python: Path) -> float:
    """Return how long `import inferwatch` takes in a fresh process."""
    return float(subprocess.run([python, "-c", _TIMED], check=True, capture_output=True, text=True).stdout)
