"""One inference through openai's client: begin, pieces, end. Every step is guarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from inferwatch.mirror import Mirror
from inferwatch.recording import Inference
from inferwatch.wrappers.call import end_with
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.openai_answer import Answer, Completion, field
from inferwatch.wrappers.openai_request import OPERATIONS, provider_of, request_fields, request_messages
from inferwatch.wrappers.openai_responses import ResponseAnswer


@dataclass(frozen=True, slots=True)
class Plan:
    """What `wrap_openai` was told."""

    mirror: Mirror
    include_usage: bool
    fields: Mapping[str, Any]


class OpenAICall:
    """What is known so far of one inference."""

    def __init__(self, inference: Inference, answer: Answer, *, streamed: bool, hides_usage: bool) -> None:
        self.streamed = streamed
        self._inference = inference
        self._answer = answer
        self._hides_usage = hides_usage
        self._last_heard: float | None = None

    @guarded
    def take(self, response: Any) -> bool:
        """Take a response, or one chunk of it, in; return whether the chunk is one that only we asked for."""
        self._last_heard = self._inference.elapsed()
        if self._answer.add(response) and self.streamed:
            self._inference.first_token(self._last_heard)
        return self._hides_usage and not field(response, "choices") and field(response, "usage") is not None

    @guarded
    def take_json(self, body: bytes) -> None:
        """Take in a response that the application wanted as it came."""
        self.take(msgspec.json.decode(body))

    @guarded
    def drop(self) -> None:
        """End because nobody can read any further, which is noticed at some later time."""
        self._answer.tell(self._inference)
        self._inference.end(cancelled=not self._answer.whole, after=self._last_heard)

    @guarded
    def leave_unread(self) -> None:
        """End although the application read the response, if it did, in a way that could not be followed."""
        self._inference.set(content_unavailable=True)
        self._inference.end()

    @guarded
    def end(self) -> None:
        """End as well as it went."""
        self._answer.tell(self._inference)
        self._inference.end()

    @guarded
    def leave(self) -> None:
        """End because the application reads no further; that is no cancellation where all was said."""
        self._answer.tell(self._inference)
        self._inference.end(cancelled=not self._answer.whole)

    @guarded
    def fail(self, error: BaseException) -> None:
        """End with what the client raised."""
        # Where openai could not parse a response that came, its error has it.
        if (completion := getattr(error, "completion", None)) is not None:
            self._answer.add(completion)
        self._answer.tell(self._inference)
        end_with(self._inference, error)


@guarded
def begin(plan: Plan, client: Any, options: Any, *, streamed: bool) -> OpenAICall | None:
    """Start the clock where the request is an inference; add what was asked to be added."""
    path = str(options.url).partition("?")[0]
    if path not in OPERATIONS or not isinstance(options.json_data, Mapping):
        return None
    body = {**options.json_data, **(getattr(options, "extra_json", None) or {})}
    described = {**request_fields(path, body), "stream": streamed, **provider_of(client.base_url.host)}
    hides_usage = streamed and plan.include_usage and path.endswith("completions") and _asks_no_usage(body)
    if hides_usage:
        given = body.get("stream_options") or {}
        options.json_data = {**options.json_data, "stream_options": {**given, "include_usage": True}}
    answer: Answer = ResponseAnswer() if path == "/responses" else Completion()
    inference = plan.mirror.inference(
        str(body.get("model", "")), request_messages(path, body), **{**described, **plan.fields}
    )
    return OpenAICall(inference, answer, streamed=streamed, hides_usage=hides_usage)


def _asks_no_usage(body: Mapping[str, Any]) -> bool:
    return "include_usage" not in (body.get("stream_options") or {})
