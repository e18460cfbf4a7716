"""Triton's statistics of models, `/v2/models/stats`, as readings (its statistics extension of the KServe protocol)."""

from __future__ import annotations

import msgspec

from ingest.errors import ContentError
from ingest.scraper.readings import FAILURES, UNKNOWN_REASON, Reading, Subject, believable


class _Duration(msgspec.Struct):
    count: int = 0
    ns: int = 0


class _Inferences(msgspec.Struct):
    success: _Duration
    fail: _Duration
    queue: _Duration
    compute_input: _Duration
    compute_infer: _Duration
    compute_output: _Duration


class _Model(msgspec.Struct):
    name: str
    inference_stats: _Inferences
    version: str = ""
    inference_count: int = 0
    execution_count: int = 0


class _Answer(msgspec.Struct):
    model_stats: list[_Model]


_decoder = msgspec.json.Decoder(_Answer)


def read_statistics(body: bytes) -> dict[Subject, Reading]:
    """Return the counters of every version of every model.

    Raises:
        ContentError: this is no answer of the statistics extension, or tells numbers that cannot be.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContentError(
            "statistics", f"not an answer of the statistics extension: {type(error).__name__}"
        ) from error
    found = {Subject(model.name, model.version): _reading(model) for model in answer.model_stats}
    return believable(found, "statistics")


def _reading(model: _Model) -> Reading:
    told = model.inference_stats
    return Reading(
        {
            "requests": told.success.count,
            "inferences": model.inference_count,
            "executions": model.execution_count,
            "request_time": told.success.ns,
            "queue_time": told.queue.ns,
            "compute_input_time": told.compute_input.ns,
            "compute_infer_time": told.compute_infer.ns,
            "compute_output_time": told.compute_output.ns,
            FAILURES + UNKNOWN_REASON: told.fail.count,
        }
    )
