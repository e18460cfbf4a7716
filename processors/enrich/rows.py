"""Step 7: enriched events to the columns of table `inferences`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from processors.enrich.enriched import Enriched

_json: Final = msgspec.json.Encoder()


def _tensors(item: Enriched) -> str:
    event = item.event
    if not (event.input_tensors or event.output_tensors):
        return ""
    return _json.encode({"input": event.input_tensors, "output": event.output_tensors}).decode()


def _characters(item: Enriched, side: str) -> int:
    cut = item.event.truncated
    if cut is not None:
        return cut.input_characters if side == "input" else cut.output_characters
    messages = item.event.input_messages if side == "input" else item.event.output_messages
    return sum(len(part.content or "") for message in messages for part in message.parts)


COLUMNS: Final[dict[str, Callable[[Enriched], Any]]] = {
    "event_id": lambda item: item.event.event_id,
    "source_partition": lambda item: item.position.partition,
    "source_offset": lambda item: item.position.offset,
    "source_index": lambda item: item.position.index,
    "started_at": lambda item: round(item.event.started_at * 1_000_000),
    "environment": lambda item: item.event.environment,
    "service": lambda item: item.text.service,
    "team": lambda item: item.text.team,
    "user": lambda item: item.user,
    "source": lambda item: item.event.source,
    "trace_id": lambda item: item.event.trace_id or "",
    "span_id": lambda item: item.event.span_id or "",
    "parent_span_id": lambda item: item.event.parent_span_id or "",
    "conversation_id": lambda item: item.text.conversation_id,
    "response_id": lambda item: item.event.response_id or "",
    "operation": lambda item: item.event.operation,
    "provider": lambda item: item.event.provider,
    "request_model": lambda item: item.event.request_model,
    "model": lambda item: item.event.model,
    "model_version": lambda item: item.event.model_version or "",
    "prompt_name": lambda item: item.text.prompt_name,
    "prompt_version": lambda item: item.event.prompt_version or "",
    "parameters": lambda item: item.text.parameters,
    "stream": lambda item: item.event.stream,
    "time_to_first_token": lambda item: item.event.time_to_first_token,
    "time_per_output_token": lambda item: item.time_per_output_token,
    "duration": lambda item: item.event.duration,
    "queue_time": lambda item: item.event.queue_time,
    "compute_time": lambda item: item.event.compute_time,
    "input_tokens": lambda item: item.tokens.input,
    "output_tokens": lambda item: item.tokens.output,
    "cache_read_tokens": lambda item: item.event.cache_read_tokens,
    "cache_creation_tokens": lambda item: item.event.cache_creation_tokens,
    "reasoning_tokens": lambda item: item.event.reasoning_tokens,
    "token_source": lambda item: item.tokens.source,
    "cost": lambda item: item.cost,
    "price": lambda item: item.price,
    "status": lambda item: item.event.status,
    "error_type": lambda item: item.event.error_type or "",
    "error_message": lambda item: item.text.error_message,
    "finish_reasons": lambda item: list(item.event.finish_reasons),
    "input_messages": lambda item: item.text.input_messages,
    "output_messages": lambda item: item.text.output_messages,
    "input_characters": lambda item: _characters(item, "input"),
    "output_characters": lambda item: _characters(item, "output"),
    "truncated": lambda item: item.event.truncated is not None,
    "content_unavailable": lambda item: item.event.content_unavailable,
    "pii": lambda item: list(item.text.hits),
    "tensors": _tensors,
    "attributes": lambda item: item.text.attributes,
    "flags": lambda item: [],
}
"""Column of table `inferences` to the value that an event has in it."""


def columns_of(items: Sequence[Enriched], topic_id: str, now: float) -> dict[str, list[Any]]:
    """Return rows as columns, all with one time of insertion, so that they land in one partition and one part."""
    columns = {name: [value(item) for item in items] for name, value in COLUMNS.items()}
    ingested_at = dt.datetime.fromtimestamp(now, dt.UTC)
    columns["source_topic_id"] = [topic_id] * len(items)
    columns["ingested_at"] = [ingested_at] * len(items)
    return columns
