"""Who an inference is for, said once for everything that happens inside, by context variables."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

from inferwatch.traceparent import trace_fields

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_said: Final[ContextVar[Mapping[str, Any]]] = ContextVar("inferwatch", default=_NOTHING)


@contextmanager
def context(
    *,
    team: str | None = None,
    user: str | None = None,
    conversation_id: str | None = None,
    prompt_name: str | None = None,
    prompt_version: str | None = None,
    service: str | None = None,
    environment: str | None = None,
    traceparent: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Say these of every inference that begins inside the block, also in tasks that are started there.

    An inner block adds to the outer one, and what it says again it says anew; attributes are merged. `traceparent` is
    the header of the request that is being served; one that is malformed is ignored.
    """
    given = {
        "team": team,
        "user": user,
        "conversation_id": conversation_id,
        "prompt_name": prompt_name,
        "prompt_version": prompt_version,
        "service": service,
        "environment": environment,
    }
    token = _said.set(_inside(_said.get(), given, traceparent, attributes))
    try:
        yield
    finally:
        # Frameworks may end a generator with a block in it in another context than they began it in (a thread, the
        # event loop's own end of abandoned generators). What was said does not hold there anyway.
        with contextlib.suppress(ValueError):
            _said.reset(token)


def _inside(
    outer: Mapping[str, Any],
    given: Mapping[str, str | None],
    traceparent: str | None,
    attributes: Mapping[str, str] | None,
) -> Mapping[str, Any]:
    said = {**outer, **{name: value for name, value in given.items() if value is not None}, **trace_fields(traceparent)}
    if isinstance(attributes, Mapping):
        said["attributes"] = {**outer.get("attributes", {}), **attributes}
    return said


def current_fields() -> Mapping[str, Any]:
    """Return event fields that hold here and now.

    An active OpenTelemetry span is nearer to the inference than the header that the request came with, and wins.
    """
    span = _active_span()
    return {**_said.get(), **span} if span else _said.get()


def _active_span() -> dict[str, str] | None:
    # Not imported: an application without OpenTelemetry has no span, and must not pay for looking.
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        found = api.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return {"trace_id": f"{found.trace_id:032x}", "parent_span_id": f"{found.span_id:016x}"}
    except Exception:
        # Another thread may be importing it at this moment, and spans may be of any vendor's making.
        return None
