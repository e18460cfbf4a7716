"""What chat and text completions and embeddings say, whole or chunk by chunk, as openai's objects or as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any, Protocol

from inferwatch.events import Message, Part
from inferwatch.recording import Inference


class Answer(Protocol):
    """What an inference answered, taken in piece by piece."""

    @property
    def whole(self) -> bool:
        """Whether its end was seen."""
        ...

    def add(self, response: Any) -> bool:
        """Take a response, or one chunk of it, in; return whether it carries output."""
        ...

    def tell(self, inference: Inference) -> None:
        """Say all of it."""
        ...


def field(given: Any, name: str) -> Any:
    """Return an attribute of openai's objects or a value of plain JSON; None where there is none."""
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


class Completion:
    """The answer of chat and text completions, and what embeddings say of themselves."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._names: dict[str, str] = {}

    @property
    def whole(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return bool(self._choices) and all(choice.reason for choice in self._choices.values())

    def add(self, response: Any) -> bool:
        """Take a response, or one chunk of it, in; return whether it carries output."""
        for name, given in (("response_id", "id"), ("response_model", "model")):
            if value := field(response, given):
                self._names[name] = str(value)
        self._usage = field(response, "usage") or self._usage
        carries = False
        for choice in field(response, "choices") or ():
            known = self._choices.setdefault(field(choice, "index") or 0, _Choice())
            carries |= known.add(choice)
        return carries

    def tell(self, inference: Inference) -> None:
        """Say all of it."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        inference.set(**self._names)
        if choices:
            inference.output(tuple(choice.message() for choice in choices))
            inference.finish(*(choice.reason for choice in choices if choice.reason))
        if self._usage is not None:
            given, made = (field(self._usage, f"{side}_tokens_details") for side in ("prompt", "completion"))
            inference.tokens(
                field(self._usage, "prompt_tokens"),
                field(self._usage, "completion_tokens"),
                cache_read_tokens=field(given, "cached_tokens"),
                reasoning_tokens=field(made, "reasoning_tokens"),
            )


@dataclass(slots=True)
class _Call:
    """A call of a tool, in pieces."""

    id: str = ""
    name: list[str] = field_of(default_factory=list)
    arguments: list[str] = field_of(default_factory=list)

    def part(self) -> Part:
        """Return what the pieces make."""
        return Part(type="tool_call", id=self.id, name="".join(self.name), arguments="".join(self.arguments))


class _Choice:
    """One of the answers asked for, joined from its pieces."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._role = "assistant"
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, _Call] = {}

    def add(self, choice: Any) -> bool:
        """Take a piece in; return whether it carries output."""
        piece = field(choice, "delta") or field(choice, "message")
        self._role = field(piece, "role") or self._role
        self.reason = field(choice, "finish_reason") or self.reason
        text = field(piece, "content") or field(piece, "refusal") or field(choice, "text") or ""
        # Servers of open models name it one way or the other.
        thought = field(piece, "reasoning_content") or field(piece, "reasoning") or ""
        self._text.append(str(text))
        self._thoughts.append(str(thought))
        calls = field(piece, "tool_calls") or ()
        for position, call in enumerate(calls):
            self._add_call(position, call)
        return bool(text or thought or calls)

    def message(self) -> Message:
        """Return what was said."""
        text, thought = "".join(self._text), "".join(self._thoughts)
        parts = [Part(type="reasoning", content=thought)] if thought else []
        if text or not self._calls:
            parts.append(Part(type="text", content=text))
        parts += [call.part() for call in self._calls.values()]
        return Message(role=self._role, parts=tuple(parts), finish_reason=self.reason)

    def _add_call(self, position: int, call: Any) -> None:
        index = field(call, "index")
        known = self._calls.setdefault(position if index is None else index, _Call())
        function = field(call, "function")
        known.id = field(call, "id") or known.id
        known.name.append(field(function, "name") or "")
        known.arguments.append(field(function, "arguments") or "")
