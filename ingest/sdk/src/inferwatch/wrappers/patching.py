"""Replace methods of one object and put them back: class, identity and every other attribute stay as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

OBSERVED: Final = "_inferwatch_observed"
"""Attribute of an observed function that holds the original."""
_ORIGINALS: Final = "_inferwatch_originals"
_ABSENT: Final = object()


def loaded_class(module: str, name: str) -> type[Any] | None:
    """Return a class of a module that the application imported; whoever holds an instance of it has."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def patch(target: object, replacements: Mapping[str, Callable[..., Any]]) -> None:
    """Let attributes of `target`, which is not patched already, be these."""
    own = vars(target)
    originals = {name: own.get(name, _ABSENT) for name in replacements}
    own.update(replacements)
    own[_ORIGINALS] = originals


def unwrap(target: T) -> T:
    """Undo a wrapper: of a client, which is returned as it was; of a function, whose original is returned.

    Streams that are open are recorded to their end. What was never wrapped is returned unchanged.
    """
    observed = getattr(target, OBSERVED, None)
    # Decorators copy attributes: one around an observed function has the attribute too, and wraps something else.
    if observed is not None and getattr(target, "__wrapped__", None) is observed:
        return cast(T, observed)
    own = getattr(target, "__dict__", {})
    for name, before in own.pop(_ORIGINALS, {}).items():
        if before is _ABSENT:
            own.pop(name, None)
        else:
            own[name] = before
    return target
