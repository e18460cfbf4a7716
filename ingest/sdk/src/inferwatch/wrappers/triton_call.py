"""One inference through tritonclient: what was asked, each response, its end. Every step is guarded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inferwatch.infer_fields import InferAnswer, request_fields, request_messages
from inferwatch.mirror import Mirror
from inferwatch.recording import Inference
from inferwatch.wrappers.call import end_with
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.tensors import Tensor, input_tensor, output_tensors


class Arguments:
    """The arguments of calls of one method, by name."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._names = tuple(inspect.signature(method).parameters)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was given, by name; without defaults."""
        return {**dict(zip(self._names, args, strict=False)), **kwargs}

    def replaced(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], name: str, change: Callable[[Any], Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with one changed where it was given: what is missing or too much stays so."""
        if name in kwargs:
            return tuple(args), {**kwargs, name: change(kwargs[name])}
        at = self._names.index(name) if name in self._names else len(args)
        if at < len(args):
            return (*args[:at], change(args[at]), *args[at + 1 :]), dict(kwargs)
        return tuple(args), dict(kwargs)


class TritonCall:
    """What is known so far of one inference."""

    def __init__(self, inference: Inference, given: Mapping[str, Any], *, prompted: bool) -> None:
        self.inference = inference
        self.answer = InferAnswer(prompted=prompted)
        self.key = (str(given.get("request_id") or ""), str(given.get("model_name", "")))
        self.awaits_final = bool(given.get("enable_empty_final_response"))
        self.last_heard: float | None = None
        self.arrived = False


@guarded
def begin(mirror: Mirror, fields: Mapping[str, Any], given: Mapping[str, Any], *, streamed: bool = False) -> TritonCall:
    """Start the clock for a call with these arguments."""
    inputs = _inputs(given)
    described = (
        {"content_unavailable": True} if inputs is None else request_fields(inputs, given.get("parameters") or {})
    )
    known = {"response_id": given.get("request_id") or None, "model_version": given.get("model_version") or None}
    inference = mirror.inference(
        str(given.get("model_name", "")),
        request_messages(inputs or ()),
        **{**described, **known, "stream": streamed, **fields},
    )
    return TritonCall(inference, given, prompted=any(tensor.name == "text_input" for tensor in inputs or ()))


@guarded
def _inputs(given: Mapping[str, Any]) -> list[Tensor]:
    return [input_tensor(one) for one in given.get("inputs") or ()]


@guarded
def take(call: TritonCall | None, result: Any, *, streamed: bool = False) -> None:
    """Take one response in; the first that carries output stamps the time to first token of a stream."""
    if call is None:
        return
    heard = call.inference.elapsed()
    if not call.arrived:
        call.last_heard = heard
    response = result.get_response()
    model, version = _field(response, "model_name"), _field(response, "model_version")
    if model:
        call.inference.set(response_model=model)
    if version:
        call.inference.set(model_version=version)
    if call.answer.add(output_tensors(result)) and streamed:
        call.inference.first_token(heard)


@guarded
def arrive(call: TritonCall | None) -> None:
    """Note that the response is there, which the application fetches when it likes."""
    if call is not None:
        call.last_heard, call.arrived = call.inference.elapsed(), True


@guarded
def end(call: TritonCall | None, *, cancelled: bool = False) -> None:
    """End as well as it went, or because nobody waits any more: it lasted until its last response."""
    if call is not None:
        call.inference.set(**call.answer.fields(whole=not cancelled))
        call.inference.end(cancelled=cancelled, after=call.last_heard)


@guarded
def fail(call: TritonCall | None, error: BaseException) -> None:
    """End with what the client raised or handed over."""
    if call is not None:
        call.inference.set(**call.answer.fields(whole=False))
        end_with(call.inference, error, after=call.last_heard if call.arrived else None)


def finish(call: TritonCall | None, result: Any, error: BaseException | None) -> None:
    """End a call that has one response, or an error in its place."""
    if error is not None:
        fail(call, error)
    else:
        take(call, result)
        end(call)


def _field(response: Any, name: str) -> Any:
    return response.get(name) if isinstance(response, Mapping) else getattr(response, name, None)
