"""What the responses API says: one response object, or events that end with it."""

from __future__ import annotations

from typing import Any, Final

from inferwatch.events import Message, Part
from inferwatch.recording import Inference
from inferwatch.wrappers.openai_answer import field

_LAST: Final = ("response.completed", "response.incomplete", "response.failed")
_TEXT: Final = ("response.output_text.delta", "response.refusal.delta")
_ARGUMENTS: Final = "response.function_call_arguments.delta"
_THOUGHTS: Final = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")


class ResponseAnswer:
    """The answer of the responses API; where its last event did not come, as much of it as did."""

    def __init__(self) -> None:
        self._response: Any = None
        self._is_last = False
        self._error: Any = None
        self._pieces: dict[int, dict[str, list[str]]] = {}

    @property
    def whole(self) -> bool:
        """Whether the response came whole."""
        return self._is_last

    def add(self, response: Any) -> bool:
        """Take a response, or one event of its stream, in; return whether it carries output."""
        kind = field(response, "type")
        if kind is None:
            self._response, self._is_last = response, True
            return bool(field(response, "output"))
        if (carried := field(response, "response")) is not None:
            self._response, self._is_last = carried, kind in _LAST
            return False
        if kind == "error":
            self._error = response
        elif kind == "response.output_item.added":
            item = field(response, "item")
            named = {"id": [field(item, "call_id") or ""], "name": [field(item, "name") or ""]}
            self._piece(response).update(named)
        return self._add_delta(str(kind), response)

    def tell(self, inference: Inference) -> None:
        """Say all of it."""
        response, error = self._response, self._error
        if response is not None:
            inference.set(response_id=field(response, "id"), response_model=field(response, "model"))
            self._tell_end(inference, response)
            error = error or field(response, "error")
        parts = self._parts() if self._is_last else self._seen_parts()
        if parts:
            inference.output((Message(role="assistant", parts=parts),))
        if error is not None:
            inference.error(str(field(error, "code") or "response_error"), str(field(error, "message") or ""))

    def _tell_end(self, inference: Inference, response: Any) -> None:
        why = field(field(response, "incomplete_details"), "reason") or field(response, "status")
        if self._is_last and why:
            inference.finish(str(why))
        usage = field(response, "usage")
        if usage is not None:
            inference.tokens(
                field(usage, "input_tokens"),
                field(usage, "output_tokens"),
                cache_read_tokens=field(field(usage, "input_tokens_details"), "cached_tokens"),
                reasoning_tokens=field(field(usage, "output_tokens_details"), "reasoning_tokens"),
            )

    def _piece(self, event: Any) -> dict[str, list[str]]:
        return self._pieces.setdefault(field(event, "output_index") or 0, {})

    def _add_delta(self, kind: str, event: Any) -> bool:
        if kind in _TEXT:
            name = "text"
        elif kind in _THOUGHTS:
            name = "thoughts"
        elif kind == _ARGUMENTS:
            name = "arguments"
        else:
            return False
        delta = str(field(event, "delta") or "")
        self._piece(event).setdefault(name, []).append(delta)
        return bool(delta)

    def _seen_parts(self) -> tuple[Part, ...]:
        parts = []
        for _, pieces in sorted(self._pieces.items()):
            said = {name: "".join(texts) for name, texts in pieces.items()}
            if "thoughts" in said:
                parts.append(Part(type="reasoning", content=said["thoughts"]))
            if "text" in said:
                parts.append(Part(type="text", content=said["text"]))
            if "arguments" in said:
                call = {name: said.get(name, "") for name in ("id", "name", "arguments")}
                parts.append(Part(type="tool_call", **call))
        return tuple(parts)

    def _parts(self) -> tuple[Part, ...]:
        return tuple(part for item in field(self._response, "output") or () for part in _parts_of(item))


def _parts_of(item: Any) -> list[Part]:
    kind = str(field(item, "type"))
    if kind == "message":
        contents = field(item, "content") or ()
        return [Part(type="text", content=field(one, "text") or field(one, "refusal") or "") for one in contents]
    if kind == "function_call":
        arguments = field(item, "arguments")
        return [Part(type="tool_call", id=field(item, "call_id"), name=field(item, "name"), arguments=arguments)]
    if kind == "reasoning":
        thoughts = [*(field(item, "summary") or ()), *(field(item, "content") or ())]
        return [Part(type="reasoning", content=field(one, "text") or "") for one in thoughts]
    return [Part(type=kind)]
