"""Apache Kafka 4 as one small process on this machine: no Docker, no ZooKeeper, Java 17 and Maven only.

`fetch` downloads it once, `prepare` writes its configuration and formats its folder, and whoever supervises
processes runs the `Launch` that comes back.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.local.errors import FetchFailed, FormatFailed, ToolMissing

KAFKA_VERSION = "4.1.0"
LOG4J_VERSION = "2.24.3"
OLDEST_JAVA = 17
_FETCH_SECONDS = 900.0
_FORMAT_SECONDS = 120.0
_OUTPUT_TAIL = 2000

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>inferwatch.local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_LOG4J = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""

# Serial collection and the first compiler tier halve the time to the first answer (2.1 s against 4.9 s).
_JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")


@dataclass(frozen=True)
class KafkaSettings:
    """One broker, which is its own controller.

    Parameters
    ----------
    data_dir
        Where records live; what is there is kept.
    cache_dir
        Where the downloaded jars are, see `fetch`.
    host, port, controller_port
        Addresses clients and the controller use. They may differ from one start to the next.
    heap_mb
        Java heap, in MiB.
    partitions
        For topics created without a number.
    max_message_bytes
        Largest record batch.
    """

    data_dir: Path
    cache_dir: Path
    host: str = "127.0.0.1"
    port: int = 9092
    controller_port: int = 9093
    heap_mb: int = 512
    partitions: int = 4
    max_message_bytes: int = 16 * 1024 * 1024

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Launch:
    """What to run: the argument list, and variables to add to the environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def available(cache_dir: Path | None = None) -> str | None:
    """None where Kafka can run here, and be fetched unless `cache_dir` has it; otherwise what is missing, in words."""
    problem = _java_problem()
    fetched = cache_dir is not None and jar_folder(cache_dir).is_dir()
    if problem is None and not fetched and shutil.which("mvn") is None:
        problem = "Maven is missing: install the package maven, or put mvn on PATH."
    return problem


def fetch(cache_dir: Path, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Download Kafka's jars into `cache_dir` unless they are there; returns their folder.

    The folder appears complete or not at all, so it may be interrupted, and called from several processes at once.

    Raises
    ------
    ToolMissing
        Java or Maven is missing, and the jars are not there yet.
    FetchFailed
        Maven failed.
    """
    jars = jar_folder(cache_dir)
    if jars.is_dir():
        return jars
    problem = available()
    if problem is not None:
        raise ToolMissing(problem)
    progress(f"Downloading Apache Kafka {KAFKA_VERSION} with Maven (43 MB, once)")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kafka-", dir=cache_dir) as work:
        _download(Path(work))
        try:
            (Path(work) / "jars").rename(jars)
        except OSError:
            # Someone else was quicker; theirs is as good.
            if not jars.is_dir():
                raise
    progress(f"Apache Kafka {KAFKA_VERSION} is in {jars}")
    return jars


def jar_folder(cache_dir: Path) -> Path:
    """Where `fetch` puts the jars of this version."""
    return cache_dir / f"kafka-{KAFKA_VERSION}"


def prepare(settings: KafkaSettings) -> Launch:
    """Write the configuration, format the data folder the first time, and say what to run.

    Raises
    ------
    ToolMissing
        Java is missing, or `fetch` has not run.
    FormatFailed
        The data folder cannot be used.
    """
    problem = _java_problem()
    if problem is not None:
        raise ToolMissing(problem)
    if not jar_folder(settings.cache_dir).is_dir():
        raise ToolMissing(f"Kafka is not in {settings.cache_dir} yet: fetch it first.")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log_dir = settings.data_dir / "log"
    (settings.data_dir / "log4j2.properties").write_text(_LOG4J)
    properties = settings.data_dir / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in _properties(settings, log_dir).items()))
    if not (log_dir / "meta.properties").exists():
        _format(settings, properties)
    return Launch((*_java(settings), "kafka.Kafka", str(properties.resolve())))


def _properties(settings: KafkaSettings, log_dir: Path) -> dict[str, str | int]:
    address = f"BROKER://{settings.host}:{settings.port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{settings.host}:{settings.controller_port}",
        "listeners": f"{address},CONTROLLER://{settings.host}:{settings.controller_port}",
        "advertised.listeners": address,
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log_dir.resolve()),
        "num.partitions": settings.partitions,
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # A lone worker need not wait for others that never come.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A broker that was killed may come back only when its old session is over.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "message.max.bytes": settings.max_message_bytes,
        "replica.fetch.max.bytes": settings.max_message_bytes,
        "metadata.log.segment.bytes": 8 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }


def _java(settings: KafkaSettings) -> tuple[str, ...]:
    return (
        "java",
        f"-Xms{min(128, settings.heap_mb)}m",
        f"-Xmx{settings.heap_mb}m",
        *_JVM_FLAGS,
        f"-Dlog4j2.configurationFile={(settings.data_dir / 'log4j2.properties').resolve()}",
        "-cp",
        f"{jar_folder(settings.cache_dir).resolve()}/*",
    )


def _format(settings: KafkaSettings, properties: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # Without the sign of an option in front, which the tool would take it for.
    cluster_id = cluster_id.replace("-", "x")
    command = [*_java(settings), "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise FormatFailed(settings.data_dir, f"It took longer than {_FORMAT_SECONDS:g} s.") from error
    if done.returncode != 0:
        raise FormatFailed(settings.data_dir, (done.stdout + done.stderr)[-_OUTPUT_TAIL:])


def _download(work: Path) -> None:
    (work / "pom.xml").write_text(_POM)
    command = ["mvn", "-B", "-q", "-f", str(work / "pom.xml"), "dependency:copy-dependencies",
               f"-DoutputDirectory={work / 'jars'}", "-DincludeScope=runtime"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(None, str(error.output or "")[-_OUTPUT_TAIL:]) from error
    if done.returncode != 0:
        raise FetchFailed(done.returncode, (done.stdout + done.stderr)[-_OUTPUT_TAIL:])


def _java_problem() -> str | None:
    wanted = f"Java {OLDEST_JAVA} or newer"
    if shutil.which("java") is None:
        return f"{wanted} is missing: install a JRE, or put java on PATH."
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=False)
    match = re.search(r'version "(\d+)', done.stderr + done.stdout)
    if match is None or int(match[1]) < OLDEST_JAVA:
        found = match[1] if match else "an unknown version"
        return f"{wanted} is needed; java on PATH is {found}."
    return None
