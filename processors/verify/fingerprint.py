"""ClickHouse's `cityHash64(topic id, partition, offset, index)`, summed: equal multisets of places have equal sums.

A hash of several values is the hash of the first, combined with that of each further one. What is the same in a whole
partition is asked of the store; the two numbers that differ are combined here, many at once.

Source: `FunctionsHashing.h` of ClickHouse (`IntHash64Impl`, `combineHashes`) and `Hash128to64` of CityHash 1.0.2.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MODULUS: Final = 2**64

_SEED: Final = np.uint64(0x4CF2D2BAAE6DA887)
_FIRST: Final = np.uint64(0xFF51AFD7ED558CCD)
_SECOND: Final = np.uint64(0xC4CEB9FE1A85EC53)
_CITY: Final = np.uint64(0x9DDFEA08EB382D69)
_33: Final = np.uint64(33)
_47: Final = np.uint64(47)


def fingerprint(prefix: int, offsets: NDArray[np.uint64], indexes: NDArray[np.uint64]) -> int:
    """Return the sum, modulo 2**64, of the hashes of n places of one partition.

    Args:
        prefix: `cityHash64(topic id, partition)`.
        offsets: n offsets.
        indexes: n line numbers.
    """
    hashes = _combined(_combined(np.full(len(offsets), prefix, np.uint64), _of_numbers(offsets)), _of_numbers(indexes))
    return int(hashes.sum(dtype=np.uint64))


def _of_numbers(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = numbers ^ _SEED
    mixed = (mixed ^ (mixed >> _33)) * _FIRST
    mixed = (mixed ^ (mixed >> _33)) * _SECOND
    return mixed ^ (mixed >> _33)


def _combined(low: NDArray[np.uint64], high: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (low ^ high) * _CITY
    mixed ^= mixed >> _47
    mixed = (high ^ mixed) * _CITY
    mixed ^= mixed >> _47
    return mixed * _CITY
