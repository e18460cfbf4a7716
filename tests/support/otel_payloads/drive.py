"""Runs inside the environment of one instrumentation package: the real client, instrumented, against a local server.

Arguments: which instrumentation, the server's address, the address of an OTLP receiver. Imports nothing of the project.
"""

# What it imports is in environments that are not this one.
# mypy: ignore-errors

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

RESOURCE = Resource({"service.name": "shop", "deployment.environment.name": "staging"})
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour."}]


INSTRUMENTORS = {
    "opentelemetry.instrumentation.openai_v2": "OpenAIInstrumentor",
    "opentelemetry.instrumentation.openai": "OpenAIInstrumentor",
    "opentelemetry.instrumentation.langchain": "LangchainInstrumentor",
    "openinference.instrumentation.openai": "OpenAIInstrumentor",
    "openinference.instrumentation.langchain": "LangChainInstrumentor",
}


def with_openai(server: str) -> None:
    """Call each kind of thing once; the model's name says which."""
    import openai

    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    chat: Any = client.chat.completions.create
    chat(model="plain", messages=MESSAGES, temperature=0.5, max_tokens=16, user="u-1")
    for _ in chat(model="streamed", messages=MESSAGES, stream=True, stream_options={"include_usage": True}):
        pass
    asked = chat(model="tool-call", messages=MESSAGES, tools=TOOLS).choices[0].message
    answered = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"}
    chat(model="tool-answer", messages=[*MESSAGES, asked.model_dump(exclude_none=True), answered], tools=TOOLS)
    with suppress(openai.RateLimitError):
        chat(model="refused", messages=MESSAGES)
    client.embeddings.create(model="embedded", input="Name a colour.")


def with_langchain(server: str) -> None:
    """Call a chain, which is not a model call, with a model in it, which is one."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "Name a {thing}.")])
    for model, stream in (("plain", False), ("streamed", True)):
        llm = ChatOpenAI(model=model, base_url=f"{server}/v1", api_key="none", max_retries=0, stream_usage=True)
        chain = prompt | llm | StrOutputParser()
        if stream:
            list(chain.stream({"thing": "colour"}))
        else:
            chain.invoke({"thing": "colour"})


def spans_to(receiver: str) -> TracerProvider:
    """Send all spans together when the provider shuts down."""
    provider = TracerProvider(resource=RESOURCE)
    exporter = OTLPSpanExporter(endpoint=f"{receiver}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
    trace.set_tracer_provider(provider)
    return provider


def logs_to(receiver: str) -> Any:
    """Send all log records together; packages that put messages there ask for the global provider."""
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource=RESOURCE)
    exporter = OTLPLogExporter(endpoint=f"{receiver}/v1/logs")
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=600_000))
    set_logger_provider(provider)
    with suppress(ImportError):
        from opentelemetry._events import set_event_logger_provider
        from opentelemetry.sdk._events import EventLoggerProvider

        set_event_logger_provider(EventLoggerProvider(provider))
    return provider


def init_openlit(receiver: str) -> None:
    """Let openlit instrument what it finds."""
    openlit = importlib.import_module("openlit")
    openlit.init(application_name="shop", environment="staging", otlp_endpoint=receiver, disable_metrics=True)


def main(instrumentation: str, server: str, receiver: str) -> None:
    module, _, drive = instrumentation.partition(":")
    if module == "openlit":
        # It sets up providers of its own, which send when the process ends.
        init_openlit(receiver)
        return with_openai(server)
    spans, logs = spans_to(receiver), logs_to(receiver)
    instrumentor: Callable[[], Any] = getattr(importlib.import_module(module), INSTRUMENTORS[module])
    instrumentor().instrument(tracer_provider=spans)
    {"openai": with_openai, "langchain": with_langchain}[drive](server)
    spans.shutdown()
    logs.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
