"""What generated inferences are made from, as SQL expressions over `number`, each row's own."""

from __future__ import annotations

from typing import Final

DAYS: Final = 14
TOPIC_ID: Final = "benchmark"
PARTITIONS: Final = 8
NEEDLE: Final = "quizzaciously"
"""A word in one text of `NEEDLE_EVERY`."""
NEEDLE_EVERY: Final = 100_000
USERS: Final = 100_000
SENTENCES: Final = 131_072
SENTENCE: Final = 128
"""Bytes from the start of one sentence to that of the next."""

WITH: Final = "WITH (SELECT text FROM sentences) AS sentences"


def _draw(salt: int) -> str:
    """Return an expression: a number from 0 to 1 that is different for every row, and the same each time."""
    return f"(cityHash64(number, {salt}) / 18446744073709551616.)"


def _normal(salt: int) -> str:
    """Return an expression: a normal deviate, by Box and Muller (1958)."""
    return f"(sqrt(-2 * log({_draw(salt)} + 1e-12)) * cos(6.283185307 * {_draw(salt + 1)}))"


def sentence(salt: int) -> str:
    return f"trimRight(substring(sentences, (cityHash64(number, {salt}) % {SENTENCES}) * {SENTENCE} + 1, {SENTENCE}))"


def numbered(values: tuple[str, ...], expression: str) -> str:
    """Return an expression: the value of that number, counted from 0."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"transform(toUInt8({expression}), [{', '.join(map(str, range(len(values))))}], [{listed}], '')"


MODELS: Final = (
    "smollm2-135m", "llama-3.1-8b", "llama-3.3-70b", "mistral-small", "qwen3-14b", "gemma-3-12b", "phi-4",
    "summariser", "reranker", "intent-classifier", "code-assistant", "translator",
)  # fmt: skip
_TEAMS: Final = ("search", "support", "growth", "payments", "platform", "")
_SERVICES: Final = (
    "shop", "helpdesk", "mobile", "checkout", "backoffice", "recommender", "crm", "docs", "chat", "batch", "fraud",
    "mailer", "voice", "ide",
)  # fmt: skip
_PROMPTS: Final = tuple(
    f"{task}-{tone}"
    for task in ("answer", "rank", "sum-up", "translate", "classify", "extract", "plan", "reply")
    for tone in ("short", "formal", "friendly", "strict")
)
_APPLICATIONS: Final = 60

_DRAWN: Final = {
    # More by day than by night.
    "share": "(number + 0.5) / {rows:UInt64}",
    "around": f"6.283185307 * {DAYS}",
    "at": f"{{start:UInt32}} + {DAYS * 86_400} * (share - 0.6 * sin(around * share) / around)",
    "application": f"toUInt8({_APPLICATIONS} * pow({_draw(1)}, 2.2))",
    "place": _draw(2),
    "age": _draw(3),
    "luck": _draw(4),
    "pii_luck": _draw(5),
    "speed": f"exp(0.45 * {_normal(6)})",
    "given": f"toUInt32(20 + 300 * exp(0.8 * {_normal(8)}))",
    "made": f"toUInt32(5 + 90 * exp(0.7 * {_normal(10)}))",
    "model_number": "cityHash64(application, 1) % 12",
    "language": "model_number NOT IN (8, 9)",
    "first_token": "0.03 * (1 + model_number) * speed",
    "per_token": "0.004 * (1 + model_number / 3) * (0.7 + 0.3 * speed)",
    "failed": "luck < 0.012",
    "who": f"toUInt32({USERS} * pow({_draw(12)}, 3))",
    "mail": "pii_luck < 0.13",
    "phone": "pii_luck BETWEEN 0.11 AND 0.17",
    "card": "pii_luck BETWEEN 0.165 AND 0.185",
    "person": "pii_luck BETWEEN 0.18 AND 0.2",
    "asked_sentences": f"toUInt8(1 + 9 * {_draw(13)} * pow({_draw(14)}, 0.5))",
    "answered_sentences": f"toUInt8(1 + 9 * {_draw(15)})",
}
"""What a row is made from; each may use those before it."""

_ASKED: Final = (
    "concat(" + sentence(20) + ", ' ', if(asked_sentences > 1, " + sentence(21) + ", ''),"
    " ' ', if(asked_sentences > 2, " + sentence(22) + ", ''),"
    " if(asked_sentences > 4, concat('\\\\n\\\\n', " + sentence(23) + ", ' ', " + sentence(24) + "), ''),"
    " if(asked_sentences > 6, concat(' ', " + sentence(26) + ", ' ', " + sentence(27) + "), ''),"
    " if(luck > 0.9, concat(' Order ', lower(hex(cityHash64(number, 25) % 4294967296)), '.'), ''),"
    " if(mail, ' Write to <EMAIL_ADDRESS>.', ''), if(phone, ' Call <PHONE_NUMBER>.', ''),"
    f" if(number % {NEEDLE_EVERY} = 77, ' {NEEDLE}', ''), if(luck BETWEEN 0.5 AND 0.52, ' Is that naïve?', ''))"
)  # fmt: skip
_ANSWERED: Final = (
    "concat(" + sentence(30) + ", if(answered_sentences > 1, concat(' ', " + sentence(31) + "), ''),"
    " if(answered_sentences > 2, concat('\\\\n- ', " + sentence(32) + ", '\\\\n- ', " + sentence(33) + "), ''),"
    " if(answered_sentences > 4, concat('\\\\n\\\\n', " + sentence(34) + ", ' ', " + sentence(35) + "), ''),"
    " if(answered_sentences > 6, concat(' ', " + sentence(36) + ", ' ', " + sentence(37) + "), ''),"
    " if(card, ' It was \\\\\"<CREDIT_CARD>\\\\\".', ''), if(person, ' Yours, <PERSON>.', ''))"
)  # fmt: skip

COLUMNS: Final = {
    "event_id": (
        "toUUID(concat(substring(event_hex, 1, 8), '-', substring(event_hex, 9, 4), '-7', substring(event_hex, 14, 3),"
        " '-a', substring(event_hex, 18, 3), '-', substring(event_hex, 21, 12)))"
    ),
    "source_topic_id": f"'{TOPIC_ID}'",
    "source_partition": f"number % {PARTITIONS}",
    "source_offset": f"intDiv(number, {PARTITIONS * 4})",
    "source_index": f"intDiv(number, {PARTITIONS}) % 4",
    "ingested_at": "fromUnixTimestamp64Milli(toInt64((at + lasted + 0.8) * 1e3), 'UTC')",
    "started_at": "fromUnixTimestamp64Micro(toInt64(at * 1e6), 'UTC')",
    "environment": "multiIf(place < 0.8, 'production', place < 0.95, 'staging', 'canary')",
    "service": numbered(_SERVICES, "application % 14"),
    "team": numbered(_TEAMS, "application % 6"),
    "user": "lower(hex(MD5(toString(who))))",
    "source": numbered(("sdk", "sidecar-http", "sidecar-grpc", "otlp", "http"), f"5 * pow({_draw(40)}, 2.5)"),
    "trace_id": "lower(hex(MD5(concat('trace', toString(intDiv(number, 3))))))",
    "span_id": "lower(hex(cityHash64(number, 41)))",
    "parent_span_id": "if(number % 3 = 0, '', lower(hex(cityHash64(intDiv(number, 3), 42))))",
    "conversation_id": (
        "if(language, lower(hex(MD5(concat('talk', toString(who), ' ', toString(intDiv(number, 50000)))))), '')"
    ),
    "response_id": "if(language, concat('chatcmpl-', lower(hex(cityHash64(number, 43)))), '')",
    "operation": "if(language, 'chat', 'embeddings')",
    "provider": "'triton'",
    "request_model": numbered(MODELS, "model_number"),
    "model": numbered(MODELS, "model_number"),
    "model_version": "toString(1 + toUInt8(3 * share + 0.3 * age))",
    "prompt_name": f"if(language, {numbered(_PROMPTS, 'application % 32')}, '')",
    "prompt_version": "if(language, concat('v', toString(1 + toUInt8(5 * share + 0.2 * age + application / 60))), '')",
    "parameters": (
        """if(language, concat('{"temperature":', toString(application % 10 / 10), ',"max_tokens":',"""
        """ toString(256 * (1 + application % 4)), '}'), '')"""
    ),
    "stream": "language",
    "time_to_first_token": "if(language AND NOT failed, first_token, NULL)",
    "time_per_output_token": "if(language AND NOT failed, per_token, NULL)",
    "duration": "lasted",
    "queue_time": "0.002 * speed",
    "compute_time": "first_token",
    "input_tokens": "if(language, given, NULL)",
    "output_tokens": "if(language, if(failed, 0, made), NULL)",
    "cache_read_tokens": "if(language AND application % 3 = 0, intDiv(given, 2), NULL)",
    "cache_creation_tokens": "NULL",
    "reasoning_tokens": "if(language AND application % 7 = 0, intDiv(made, 3), NULL)",
    "token_source": "if(language, 'reported', '')",
    "cost": "if(language AND model_number != 7, toDecimal64(given * 15 + made * 60, 9) / 100000000, NULL)",
    "price": "if(language AND model_number != 7, '$0.15 and $0.60 a million tokens', '')",
    "status": "multiIf(failed, 'error', luck > 0.985, 'cancelled', 'ok')",
    "error_type": "if(failed, 'InferenceServerException', '')",
    "error_message": "if(failed, concat('request timed out in the queue after ', toString(given * 10), ' ms'), '')",
    "finish_reasons": "if(language AND NOT failed, ['stop'], [])",
    "input_messages": (
        """if(language, concat('[{"role":"system","parts":[{"type":"text","content":"', system, '"}]},"""
        """{"role":"user","parts":[{"type":"text","content":"', asked, '"}]}]'), '')"""
    ),
    "output_messages": (
        """if(language AND NOT failed, concat('[{"role":"assistant","parts":"""
        """[{"type":"text","content":"', answered, '"}]}]'), '')"""
    ),
    "input_characters": "if(language, length(system) + length(asked), 0)",
    "output_characters": "if(language AND NOT failed, length(answered), 0)",
    "truncated": "false",
    "content_unavailable": "false",
    "pii": (
        "if(language, arrayFilter(hit -> hit.3 > 0, [('EMAIL_ADDRESS', 'input', toUInt32(mail)),"
        " ('PHONE_NUMBER', 'input', toUInt32(phone)), ('CREDIT_CARD', 'output', toUInt32(card AND NOT failed)),"
        " ('PERSON', 'output', toUInt32(person AND NOT failed))]), [])"
    ),
    "tensors": """if(language, '', '{"input":[{"name":"FEATURES","datatype":"FP32","shape":[1,64],"count":64}]}')""",
    "attributes": "map('tenant', concat('tenant-', toString(who % 200)), 'app.version', '4.2.0')",
    "flags": "[]",
}  # fmt: skip


def made_from() -> str:
    """Return the source of what rows are made from."""
    drawn = ", ".join(f"{expression} AS {name}" for name, expression in _DRAWN.items())
    made = {
        "lasted": "if(language, first_token + per_token * if(failed, 0, made), 0.012 * speed)",
        # A version 7 UUID begins with the milliseconds of its time.
        "event_hex": "lower(concat(substring(hex(toUInt64(at * 1000)), 5, 12), hex(MD5(toString(number)))))",
        "system": "concat('You are the assistant of ', toString(application), '. ', " + _constant_sentence() + ")",
        "asked": _ASKED,
        "answered": _ANSWERED,
    }
    listed = ", ".join(f"{expression} AS {name}" for name, expression in made.items())
    numbers = "numbers({first:UInt64}, {count:UInt64})"
    return f"(SELECT *, {listed} FROM (SELECT number, {drawn} FROM {numbers}))"  # noqa: S608 - expressions of our own


def _constant_sentence() -> str:
    """The system prompt of an application is always the same."""
    return f"trimRight(substring(sentences, (cityHash64(application, 9) % {SENTENCES}) * {SENTENCE} + 1, {SENTENCE}))"
