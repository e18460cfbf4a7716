"""What the image apache/kafka does when it starts, with the same Java classes but without the image.

Its script (docker/jvm/launch in Kafka's repository) runs `kafka.docker.KafkaDockerWrapper setup`, which makes
server.properties of the KAFKA_* variables (prefix off, lower case, `_` to `.`, `__` to `_`, `___` to `-`) and formats
the folder; then it starts the broker with that file.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.local.kafka import KAFKA_VERSION, fetch

SETUP_SECONDS = 60.0
FETCH_SECONDS = 300.0
# Both halve the time to the first answer.
FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def classpath(cache: Path) -> str:
    """Return what stands for the image's /opt/kafka/libs, downloaded where it is not there yet."""
    return f"{fetch(cache)}/*:{_tools(cache)}"


def install_scripts(folder: Path, libraries: str) -> None:
    """Write what stands for the image's /opt/kafka/bin: the scripts that health checks use."""
    script = folder / "kafka-broker-api-versions.sh"
    name = "org.apache.kafka.tools.BrokerApiVersionsCommand"
    flags = " ".join(FLAGS)
    script.write_text(f'#!/bin/sh\nexec java $KAFKA_HEAP_OPTS {flags} -cp "{libraries}" {name} "$@"\n')
    script.chmod(0o755)


def set_up(folder: Path, libraries: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Configure and format as the image does; return the command of the broker."""
    places = {name: folder / name for name in ("default", "mounted", "final")}
    for place in places.values():
        place.mkdir(parents=True)
    wrapper = ["java", *FLAGS, "-cp", libraries, "kafka.docker.KafkaDockerWrapper", "setup"]
    options = [word for name, place in places.items() for word in (f"--{name}-configs-dir", str(place))]
    done = subprocess.run(
        wrapper + options, env=dict(variables), capture_output=True, text=True, timeout=SETUP_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    heap = variables["KAFKA_HEAP_OPTS"].split()
    log = "-Dorg.apache.logging.log4j.level=WARN"
    return ("java", *heap, *FLAGS, log, "-cp", libraries, "kafka.Kafka", str(places["final"] / "server.properties"))


def _tools(cache: Path) -> Path:
    """Kafka's command line tools, which a broker alone does without."""
    jar = cache / f"kafka-tools-{KAFKA_VERSION}.jar"
    if not jar.exists():
        with tempfile.TemporaryDirectory(prefix=".kafka-tools-", dir=cache) as work:
            subprocess.run(
                [
                    *("mvn", "-B", "-q", "dependency:copy", "-Dmdep.useBaseVersion=true"),
                    *(f"-Dartifact=org.apache.kafka:kafka-tools:{KAFKA_VERSION}", f"-DoutputDirectory={work}"),
                ],
                timeout=FETCH_SECONDS,
                check=True,
            )
            (Path(work) / jar.name).rename(jar)
    return jar
