"""What mirroring costs the thread that calls a model, beside OpenTelemetry's SDK doing the same in the same run."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.bench.bed import bed
from app.bench.result import Outcome, Say
from inferwatch import Mirror, context

CALLS: Final = 20_000
_ROUNDS: Final = 5
_PER_SECOND: Final = 2_000
_MESSAGES: Final = [
    {"role": "system", "content": "You answer questions about invoices, in one paragraph. " * 4},
    {"role": "user", "content": "Why was I charged twice in October, and when will the money be back? " * 8},
]
_ANSWER: Final = "The second charge is a hold that ends after five working days; nothing was taken. " * 6

OneCall = Callable[[], None]


def run(say: Say, *, calls: int = CALLS) -> Outcome:
    """Time one inference, from the line before it to the line after it, for each SDK in turn; nothing is generated."""
    with bed(say, store=False) as ground, _mirroring(ground.loaded.kafka.bootstrap_servers) as (mirror, ours):
        with _tracing() as (dropped, theirs):
            say(f"{_ROUNDS} rounds of {calls:,} calls, {_PER_SECOND:,} a second, for each of two SDKs")
            ways: dict[str, tuple[OneCall, list[float]]] = {"sdk": (ours, []), "otel": (theirs, [])}
            for one, _ in ways.values():
                _time(one, 2_000)
            for _ in range(_ROUNDS):
                for one, times in ways.values():
                    times += _time(one, calls // _ROUNDS)
        mirror.close()
        stats = mirror.stats()
    figures: dict[str, float] = {}
    for name, (_, times) in ways.items():
        ordered = sorted(times)
        figures[f"{name}_us_p50"] = ordered[len(ordered) // 2] * 1e6
        figures[f"{name}_us_p99"] = ordered[int(len(ordered) * 0.99)] * 1e6
    figures |= {"sdk_delivered": stats.delivered, "sdk_dropped": stats.dropped, "otel_dropped": dropped()}
    return Outcome({"calls": calls, "calls_per_second": _PER_SECOND}, figures)


def _time(one: OneCall, calls: int) -> list[float]:
    """Return seconds of each call; they come at a steady rate, so that background threads work beside them.

    In between the thread lets others run and does not sleep: a processor that wakes up is slow at whatever comes first,
    and what is to be measured is what a call costs an application that is at work.
    """
    times = []
    gc.collect()
    start = time.perf_counter()
    for place in range(calls):
        while time.perf_counter() < start + place / _PER_SECOND:
            time.sleep(0)
        began = time.perf_counter()
        one()
        times.append(time.perf_counter() - began)
    return times


@contextmanager
def _mirroring(brokers: str) -> Iterator[tuple[Mirror, OneCall]]:
    mirror = Mirror(brokers, service="bench", team="bench")

    def one() -> None:
        with mirror.inference("model-a", _MESSAGES, parameters={"temperature": 0.2, "max_tokens": 256}) as call:
            call.output(_ANSWER)
            call.tokens(180, 96)
            call.finish("stop")
            call.set(response_id="chatcmpl-123", response_model="model-a-1")

    with context(team="bench", prompt_name="invoices"):
        yield mirror, one
    mirror.close()


class _Serialising(SpanExporter):
    """Does what an exporter does before it sends: makes bytes. A network is in the way of neither SDK's caller."""

    def export(self, spans: Any) -> SpanExportResult:
        for span in spans:
            assert isinstance(span, ReadableSpan)
            json.dumps(dict(span.attributes or {}))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held."""


@contextmanager
def _tracing() -> Iterator[tuple[Callable[[], float], OneCall]]:
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    ended = 0

    class Counting(_Serialising):
        def export(self, spans: Any) -> SpanExportResult:
            nonlocal ended
            ended += len(spans)
            return super().export(spans)

    provider.add_span_processor(BatchSpanProcessor(Counting()))
    tracer = provider.get_tracer("bench")
    begun = 0

    def one() -> None:
        nonlocal begun
        begun += 1
        with tracer.start_as_current_span("chat model-a") as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.provider.name", "triton")
            span.set_attribute("gen_ai.request.model", "model-a")
            span.set_attribute("gen_ai.request.temperature", 0.2)
            span.set_attribute("gen_ai.request.max_tokens", 256)
            span.set_attribute("gen_ai.prompt.name", "invoices")
            span.set_attribute("gen_ai.input.messages", json.dumps(_MESSAGES))
            span.set_attribute("gen_ai.output.messages", json.dumps([{"role": "assistant", "content": _ANSWER}]))
            span.set_attribute("gen_ai.usage.input_tokens", 180)
            span.set_attribute("gen_ai.usage.output_tokens", 96)
            span.set_attribute("gen_ai.response.finish_reasons", ["stop"])
            span.set_attribute("gen_ai.response.id", "chatcmpl-123")
            span.set_attribute("gen_ai.response.model", "model-a-1")

    def dropped() -> float:
        return float(begun - ended)

    yield dropped, one
    provider.shutdown()
