"""State by model, within the state of a partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from inferwatch.clock import Clock
from processors.partitions import PartitionStates
from storage.state import StateStore


class OfModel(Protocol):
    """State of one model in one environment."""

    environment: str
    model: str

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON."""
        ...


M = TypeVar("M", bound=OfModel)


class Named(Protocol):
    """A record that belongs to one model in one environment."""

    @property
    def environment(self) -> str:
        """Its environment."""
        ...

    @property
    def model(self) -> str:
        """Its model."""
        ...


N = TypeVar("N", bound=Named)


def by_model(records: Iterable[N]) -> list[tuple[tuple[str, str], list[N]]]:
    """Return records grouped by environment and model, each group in order."""
    groups: dict[tuple[str, str], list[N]] = {}
    for record in records:
        groups.setdefault((record.environment, record.model), []).append(record)
    return list(groups.items())


class ModelStates(Generic[M]):
    """The states of all models in one partition; each is made when its model is first seen."""

    def __init__(self, new: Callable[[str, str], M]) -> None:
        self._new = new
        # Not by the Kafka key, in which the names "a/b" and "c" look like "a" and "b/c".
        self._models: dict[tuple[str, str], M] = {}

    def of(self, environment: str, model: str) -> M:
        """Return the state of one model."""
        key = (environment, model)
        if key not in self._models:
            self._models[key] = self._new(environment, model)
        return self._models[key]

    def all(self) -> list[M]:
        """Return the states of all models."""
        return list(self._models.values())

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON."""
        return {"version": 1, "models": [state.snapshot() for state in self._models.values()]}

    def restore(self, snapshot: dict[str, Any], restored: Callable[[dict[str, Any]], M]) -> ModelStates[M]:
        """Take the states that a snapshot describes; return self."""
        for part in snapshot["models"]:
            state = restored(part)
            self._models[state.environment, state.model] = state
        return self


def states_by_model(
    component: str,
    store: StateStore,
    clock: Clock,
    seconds: float,
    topic_ids: Mapping[str, str],
    new: Callable[[str, str], M],
    restored: Callable[[dict[str, Any]], M],
) -> PartitionStates[ModelStates[M]]:
    """Return the partitions' states of a component that has one state a model; see `PartitionStates`."""
    return PartitionStates(
        component,
        store,
        clock,
        seconds,
        topic_ids,
        lambda: ModelStates(new),
        lambda saved: ModelStates(new).restore(saved, restored),
    )
