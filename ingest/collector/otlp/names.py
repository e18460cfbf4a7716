"""One table from attribute names to event fields: current names, old ones, and those of other conventions.

Where several are given the first one holds. The first column of names is OpenTelemetry's GenAI conventions as
`inferwatch.semconv` has them; then come those of earlier versions of them, of OpenLLMetry (Traceloop), of OpenInference
(Arize) and of openlit.
"""

from __future__ import annotations

from typing import Final

from inferwatch.semconv import ATTRIBUTE_OF_FIELD

_NOW: Final = ATTRIBUTE_OF_FIELD

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "provider": (_NOW["provider"], "gen_ai.system", "llm.provider", "llm.system"),
    "request_model": (_NOW["request_model"], "llm.request.model", "embedding.model_name"),
    "response_model": (_NOW["response_model"], "llm.response.model", "llm.model_name"),
    "response_id": (_NOW["response_id"],),
    "conversation_id": (_NOW["conversation_id"], "session.id", "traceloop.association.properties.session_id"),
    "user": ("user.id", "enduser.id", _NOW["user"], "gen_ai.user", "gen_ai.request.user", "llm.user"),
    "prompt_name": (_NOW["prompt_name"], "traceloop.prompt.key"),
    "prompt_version": ("gen_ai.prompt.version", "llm.prompt_template.version", "traceloop.prompt.version"),
}
"""Fields that hold a text, and where it may stand on a span."""

COUNTS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": (
        *(_NOW["input_tokens"], "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt"),
    ),
    "output_tokens": (
        *(_NOW["output_tokens"], "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
        "llm.token_count.completion",
    ),
    "cache_read_tokens": (
        *(_NOW["cache_read_tokens"], "gen_ai.usage.cache_read_input_tokens"),
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_creation_tokens": (
        *(_NOW["cache_creation_tokens"], "gen_ai.usage.cache_creation_input_tokens"),
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        *(_NOW["reasoning_tokens"], "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
        "llm.token_count.completion_details.reasoning",
    ),
}
"""Fields that hold a number of tokens."""

SERVICE: Final = (_NOW["service"],)
ENVIRONMENT: Final = (_NOW["environment"], "deployment.environment")
ERROR_TYPE: Final = (_NOW["error_type"],)
FINISH_REASONS: Final = (_NOW["finish_reasons"], "llm.finish_reason", "llm.response.finish_reason")
STREAM: Final = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")
FIRST_CHUNK: Final = (_NOW["time_to_first_token"], "gen_ai.server.time_to_first_token")
"""Seconds from the start of a span to its first output."""

CHUNK_EVENTS: Final = frozenset(
    {
        "First Token Stream Event",
        "New Token",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
    }
)
"""Events of a span that stand for a piece of a stream; the first one is the first output."""

OPERATION: Final = (_NOW["operation"],)
OPERATIONS: Final[dict[str, str]] = {
    name: name for name in ("chat", "text_completion", "generate_content", "embeddings")
}
"""Operations that are model calls; others, such as `execute_tool` and `invoke_agent`, are none."""

REQUEST_TYPE: Final = ("llm.request.type",)
REQUEST_TYPES: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
"""OpenLLMetry's word for the operation before it followed the conventions."""

SPAN_KIND: Final = ("openinference.span.kind",)
SPAN_KINDS: Final = {"LLM": "chat", "EMBEDDING": "embeddings"}
"""OpenInference's word; CHAIN, TOOL, AGENT, RETRIEVER, RERANKER and others are no model calls."""

WORKFLOW_KIND: Final = ("traceloop.span.kind",)
"""Stands on OpenLLMetry's spans of workflows, tasks, agents and tools."""

INPUT_MESSAGES: Final = (_NOW["input_messages"],)
OUTPUT_MESSAGES: Final = (_NOW["output_messages"],)
SYSTEM_INSTRUCTIONS: Final = ("gen_ai.system_instructions",)
OLD_INPUT: Final = ("gen_ai.prompt", "llm.prompts")
OLD_OUTPUT: Final = ("gen_ai.completion", "llm.completions")
INPUT_VALUE: Final = ("input.value",)
OUTPUT_VALUE: Final = ("output.value",)
INDEXED_INPUT: Final = ("gen_ai.prompt", "llm.prompts", "llm.input_messages")
INDEXED_OUTPUT: Final = ("gen_ai.completion", "llm.completions", "llm.output_messages")
INDEXED_TEXTS: Final = ("embedding.embeddings",)
"""Prefixes of `PREFIX.0.role`, `PREFIX.0.content` and so on: one attribute for each field of each message."""

INVOCATION: Final = ("llm.invocation_parameters", "embedding.invocation_parameters")
"""JSON with the request's parameters, its model among them."""

PARAMETER_PREFIXES: Final = ("gen_ai.request.", "gen_ai.openai.request.")
OLD_PARAMETERS: Final = {
    "llm.temperature": "temperature",
    "llm.top_p": "top_p",
    "llm.top_k": "top_k",
    "llm.frequency_penalty": "frequency_penalty",
    "llm.presence_penalty": "presence_penalty",
    "llm.chat.stop_sequences": "stop_sequences",
    "llm.request.max_tokens": "max_tokens",
    "llm.request.temperature": "temperature",
}
NOT_PARAMETERS: Final = frozenset(
    {"model", "model_name", "stream", "user", "messages", "prompt", "input", "tools", "functions", "_type"}
)

LEFT_OUT_PREFIXES: Final = (
    *(f"{prefix}." for prefix in (*INDEXED_INPUT, *INDEXED_OUTPUT, *INDEXED_TEXTS)),
    *("llm.tools.", "llm.request.functions.", "telemetry.sdk.", "gen_ai.input.", "gen_ai.output.", "gen_ai.tool."),
)
"""What is content, or says nothing about an inference."""

LEFT_OUT: Final = frozenset(
    {
        *(*OLD_INPUT, *OLD_OUTPUT, *INPUT_VALUE, *OUTPUT_VALUE, *INVOCATION, *SYSTEM_INSTRUCTIONS),
        *("input.mime_type", "output.mime_type", "llm.headers", "metadata"),
        *("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    }
)
