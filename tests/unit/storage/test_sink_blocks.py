"""What a block of rows must be, and how what is stored already is cut off."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from storage.sink import MOST_ROWS, Block, Columns, check

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def block(after: int, columns: Columns) -> Block:
    return Block("t", 3, after, NOW, columns)


@pytest.mark.parametrize(
    "kind", [list, lambda values: np.array(values, np.uint64), pa.array], ids=["list", "numpy", "arrow"]
)
def test_what_lies_behind_a_position_is_whole_records_of_every_column(kind: Any) -> None:
    one = block(-1, {"source_offset": kind([2, 2, 5, 5, 9]), "n": kind([0, 1, 2, 3, 4])})
    check(one)
    rest = {position: [int(n) for n in np.asarray(one.behind(position).columns["n"])] for position in (-1, 2, 4, 5, 9)}
    assert rest == {-1: [0, 1, 2, 3, 4], 2: [2, 3, 4], 4: [2, 3, 4], 5: [4], 9: []}
    assert one.behind(5).after == 5
    assert one.behind(5).offsets.tolist() == [9]
    assert (len(one), len(one.behind(9))) == (5, 0)


@pytest.mark.parametrize(
    ("after", "columns", "said"),
    [
        (4, {"source_offset": [4, 5]}, "come after 4"),
        (-1, {"source_offset": [5, 4]}, "must ascend"),
        (-1, {"source_offset": [5, 6], "user": ["a"]}, r"columns \['user'\] have other lengths"),
        (-1, {"source_offset": range(MOST_ROWS + 1)}, f"{MOST_ROWS + 1} rows would not be one atomic insert"),
    ],
)
def test_what_would_not_be_one_insert_behind_a_position_is_refused(after: int, columns: Columns, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(block(after, columns))


def test_a_block_without_rows_is_nothing_to_refuse() -> None:
    check(block(7, {"source_offset": []}))
