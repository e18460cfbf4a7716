"""One table from event fields to OpenTelemetry GenAI attribute names (semantic conventions v1.41.1, "Development").

When the conventions rename an attribute, this table and `events.SCHEMA_URL` change, and nothing else.
"""

from __future__ import annotations

from typing import Final

ATTRIBUTE_OF_FIELD: Final[dict[str, str]] = {
    "conversation_id": "gen_ai.conversation.id",
    "response_id": "gen_ai.response.id",
    "service": "service.name",
    "environment": "deployment.environment.name",
    "user": "user.hash",
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "prompt_name": "gen_ai.prompt.name",
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "error_type": "error.type",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "time_to_first_token": "gen_ai.response.time_to_first_chunk",
}
