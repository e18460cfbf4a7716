"""How a stream of embeddings is watched."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.errors import BadSetting

NAME = "embedding-mmd"
VERSION = 1


@dataclass(frozen=True, slots=True)
class EmbeddingDriftSettings:
    """How to watch a stream of embeddings.

    Attributes:
        dimensions: length of every embedding.
        reference: how many embeddings, the first ones, are taken as normal (N).
        windows: how many recent embeddings are compared with them (W), ascending: a short window finds a big change
            soon, a long one finds a small change at all. Each has its share of the false alarms.
        features: random Fourier features; more is slower and closer to the exact kernel.
        expected_run_length: events between false alarms, on average over references and streams.
        confirm_below: p-value that the confirming permutation test must not exceed.
        permutations: of the confirming test.
        seed: of everything random.
    """

    dimensions: int
    reference: int = 500
    windows: tuple[int, ...] = (30, 120)
    features: int = 512
    expected_run_length: int = 20_000
    confirm_below: float = 0.01
    permutations: int = 999
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if self.dimensions < 1:
            raise BadSetting("dimensions", self.dimensions, "at least 1")
        if not self.windows or self.windows[0] < 2 or list(self.windows) != sorted(set(self.windows)):
            raise BadSetting("windows", self.windows, "at least one, ascending, each at least 2")
        longest = self.windows[-1]
        if self.reference < 2 * longest:
            raise BadSetting("reference", self.reference, f"at least twice the longest window, {2 * longest}")
        if self.features < 2 or self.features % 2:
            raise BadSetting("features", self.features, "even, at least 2")
        if self.expected_run_length < 2 * longest:
            raise BadSetting("expected_run_length", self.expected_run_length, "at least twice the longest window")
        if not 1.0 / (self.permutations + 1) <= self.confirm_below < 1.0:
            raise BadSetting("confirm_below", self.confirm_below, "at least 1 / (permutations + 1), below 1")
        if not 0 <= self.seed < 2**32:
            raise BadSetting("seed", self.seed, "from 0 to 4294967295")
