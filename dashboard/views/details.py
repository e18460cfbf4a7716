"""Everything about one inference."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from typing import Any

import streamlit as st

from dashboard import formatting as fmt
from dashboard import palette
from dashboard.views.alert_list import plain
from dashboard.views.tensors import with_quantiles
from inferwatch.events import Message, Part
from storage.queries import Inference

ICONS = {"user": ":material/person:", "assistant": ":material/smart_toy:", "system": ":material/settings:"}


def render(one: Inference, now: datetime, zone: tzinfo) -> None:
    """Draw the inference."""
    with st.container(border=True):
        st.markdown(
            f":{palette.badge(one.status)}-badge[{one.status}] **{plain(one.model)}** {plain(one.model_version)} · "
            f"{plain(one.operation)} · started {fmt.clock(one.started_at, now, zone)} · `{one.event_id}`"
        )
        if one.status == "error":
            st.error(f"**{plain(one.error_type or 'error')}** {plain(one.error_message)}", icon=":material/error:")
        _figures(one)
        messages, facts = st.columns([3, 2])
        with messages:
            _messages(one)
        with facts:
            _facts("Where", where(one))
            _facts("Timing", timing(one))
            _facts("Tokens and cost", tokens(one))
            _facts("Personal data", pii(one))
            _facts("Attributes", dict(one.attributes))
            _json("Parameters", one.parameters)
            _json("Tensors", with_quantiles(one.tensors))


def where(one: Inference) -> dict[str, str]:
    """Return where it came from and how to find it elsewhere."""
    facts = {
        "trace id": one.trace_id,
        "span id": one.span_id,
        "parent span id": one.parent_span_id,
        "conversation": one.conversation_id,
        "response": one.response_id,
        "environment": one.environment,
        "service": one.service,
        "team": one.team,
        "user (hashed)": one.user,
        "source": one.source,
        "prompt": " ".join((one.prompt_name, one.prompt_version)).strip(),
        "asked for model": one.request_model if one.request_model != one.model else "",
        "Kafka": f"partition {one.source_partition}, offset {one.source_offset}",
    }
    return {name: value for name, value in facts.items() if value}


def timing(one: Inference) -> dict[str, str]:
    """Return durations with their units."""
    return {
        "duration": fmt.seconds(one.duration),
        "first token after": fmt.seconds(one.time_to_first_token) if one.stream else "not streamed",
        "each further token": fmt.seconds(one.time_per_output_token),
        "queued in Triton": fmt.seconds(one.queue_time),
        "computed in Triton": fmt.seconds(one.compute_time),
        "stored after it ended": fmt.seconds((one.ingested_at - one.started_at).total_seconds() - one.duration),
    }


def tokens(one: Inference) -> dict[str, str]:
    """Return token counts and cost."""
    facts = {
        "input": f"{fmt.count(one.input_tokens)} tokens",
        "of which read from cache": fmt.count(one.cache_read_tokens),
        "of which written to cache": fmt.count(one.cache_creation_tokens),
        "output": f"{fmt.count(one.output_tokens)} tokens",
        "of which reasoning": fmt.count(one.reasoning_tokens),
        "counts are": one.token_source or fmt.NOTHING,
        "cost": fmt.money(one.cost),
        "price": one.price or "no price for this model",
        "finished because": ", ".join(one.finish_reasons) or fmt.NOTHING,
    }
    return {name: value for name, value in facts.items() if not (name.startswith("of which") and value == fmt.NOTHING)}


def pii(one: Inference) -> dict[str, str]:
    """Return what was found and masked; never the value."""
    if not one.pii:
        return {"found": "none"}
    return {f"{hit.entity_type} in {hit.place}": fmt.plural(hit.hits, "hit") for hit in one.pii}


def why_no_text(one: Inference) -> str | None:
    """Return why there are no messages; None where there are."""
    if one.text_expired:
        return "The text's time to live is over; its figures stay."
    if one.content_unavailable:
        return "The content was not on the wire (for example in shared memory), so it was not recorded."
    if not one.input_messages and not one.output_messages:
        return "No messages: the model is not a language model, or the text was not sent."
    return None


def _figures(one: Inference) -> None:
    places = st.columns(5)
    places[0].metric("Duration", fmt.seconds(one.duration))
    places[1].metric("First token", fmt.seconds(one.time_to_first_token))
    places[2].metric("Per output token", fmt.seconds(one.time_per_output_token))
    places[3].metric("Tokens in → out", f"{fmt.count(one.input_tokens)} → {fmt.count(one.output_tokens)}")
    places[4].metric("Cost", fmt.money(one.cost))


def _messages(one: Inference) -> None:
    st.markdown("**Messages** · personal data is masked")
    reason = why_no_text(one)
    if reason is not None:
        st.caption(reason)
    if one.truncated:
        st.caption(
            f"Cut before it was sent; it was {fmt.plural(one.input_characters, 'character')} in and "
            f"{fmt.plural(one.output_characters, 'character')} out."
        )
    for message in (*one.input_messages, *one.output_messages):
        with st.chat_message(message.role, avatar=ICONS.get(message.role, ":material/build:")):
            st.caption(message.role)
            _parts(message)


def _parts(message: Message) -> None:
    for part in message.parts:
        if part.content is not None:
            st.text(part.content)
        call = _call(part)
        if call is not None:
            st.json(call, expanded=1)


def _call(part: Part) -> dict[str, Any] | None:
    given = {"name": part.name, "id": part.id, "arguments": part.arguments, "response": part.response}
    call = {name: value for name, value in given.items() if value is not None}
    return {"type": part.type, **call} if call else None


def _facts(title: str, facts: dict[str, str]) -> None:
    if facts:
        st.markdown(f"**{title}**")
        st.table({plain(name): plain(value) for name, value in facts.items()}, border="horizontal")


def _json(title: str, text: str) -> None:
    if not text:
        return
    try:
        value = json.loads(text)
    except ValueError:
        value = {"text": text}
    if value:
        st.markdown(f"**{title}**")
        st.json(value, expanded=1)
