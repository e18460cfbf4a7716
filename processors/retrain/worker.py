"""The retrain step: one dataset and one run for each alert that asks for it.

Order of durability:

1. Write the dataset to a temporary file, rename it to its final name.
2. Send the run to topic `inferwatch.retraining`; wait for Kafka.
3. Return True: the record may be acknowledged.

The run's id and the file's name follow from the alert, so a record that comes again (killed between 1 and 3, or a
transition that was sent twice) finds the file, and sends the same run with the same id: a trainer takes it once.
A folder that is full or not ours to write is waited for: alerts and messages go on meanwhile.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import logging
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inferwatch import topics
from processors.dead_letters import read_or_bury
from processors.errors import DatasetNotWritten, Interrupted
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import AlertTransition, RetrainingRun, encode_records, id_from, model_key
from processors.retry import until_it_works
from processors.settings import RetrainSettings
from processors.step import Record
from storage.client import StoreSettings
from storage.export import conversations

log: Final = logging.getLogger(__name__)


class RetrainStep:
    """Turns alerts that ask for retraining into datasets and runs."""

    def __init__(self, settings: RetrainSettings, store: StoreSettings, producer: RecordProducer) -> None:
        self._settings = settings
        self._store = store
        self._producer = producer
        self._interrupted = asyncio.Event()

    async def process(self, records: Sequence[Record]) -> bool:
        """Write datasets and announce runs; durable when it returns, unless it was interrupted."""
        try:
            outgoing = await self._outgoing(records)
        except Interrupted as error:
            log.warning("%s; it will come again", error)
            return False
        await until_it_works("Announcing retraining", lambda: self._producer.send(outgoing))
        return not self._interrupted.is_set()

    async def tick(self) -> bool:
        """Nothing ever waits for durability but what was given up."""
        return not self._interrupted.is_set()

    def interrupt(self) -> None:
        """Wait no longer for the folder or the store; whoever takes over may have others."""
        self._interrupted.set()

    async def release(self) -> None:
        """Nothing is held."""
        self._interrupted.clear()

    async def _outgoing(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        outgoing: list[OutgoingRecord] = []
        for record in records:
            for change in read_or_bury(record, AlertTransition, outgoing):
                if change.retrain:
                    write = functools.partial(asyncio.to_thread, self._run, change)
                    run = await until_it_works("Writing a dataset", write, self._interrupted)
                    log.warning("Retraining of %s: %d conversations in %s", run.model, run.rows, run.dataset)
                    key = model_key(run.environment, run.model)
                    outgoing.append(OutgoingRecord(topics.RETRAINING, encode_records([run]), key))
        return outgoing

    def _run(self, change: AlertTransition) -> RetrainingRun:
        run_id = id_from("retraining", change.alert_id)
        path = self._settings.folder.resolve() / f"{file_name(change.environment, change.model)}-{run_id}.jsonl"
        try:
            rows = _lines(path) if path.exists() else self._write(path, change)
        except OSError as error:
            raise DatasetNotWritten(str(path.parent), _reason(error)) from error
        return RetrainingRun(
            run_id=run_id,
            at=change.at,
            alert_id=change.alert_id,
            environment=change.environment,
            model=change.model,
            reason=f"{change.rule}: {change.summary}",
            status="dataset written",
            dataset=str(path),
            rows=rows,
        )

    def _write(self, path: Path, change: AlertTransition) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        until = dt.datetime.fromtimestamp(change.at, dt.UTC)
        since = until - dt.timedelta(seconds=self._settings.look_back_seconds)
        found = conversations(self._store, change.environment, change.model, since, until, self._settings.most_rows)
        unfinished = path.with_suffix(".unfinished")
        rows = 0
        with unfinished.open("w", encoding="utf-8") as file:
            for conversation in found:
                row = {"event_id": conversation.event_id, "messages": conversation.messages}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                rows += 1
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        return rows


def require_writable(folder: Path) -> None:
    """Create the folder of datasets and write to it.

    Raises:
        DatasetNotWritten: that does not work.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Rights alone say too little: a file system may be read-only, or full.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        raise DatasetNotWritten(str(folder), _reason(error)) from error


def file_name(environment: str, model: str) -> str:
    """Return a name for files of a model that no file system objects to and no path escapes from."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{environment}-{model}").lstrip(".-")[:100] or "model"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
