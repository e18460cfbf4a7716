"""Figures by minute and hour, made from stored rows and from nothing else, each row counted once.

```
inferences ──ledger──► which rows are not counted yet ──► one INSERT … SELECT: their figures and how far they go
   rows                       (`ledger`)      (`roller`, `figures`)      one part: both or neither   (`marks`)
```

A step is a compare-and-swap on the marks of one rollup and one day of arrival: its token is made of them, so that of
any number of rollers, retries and late answers after the same marks only one counts. Whoever dies anywhere leaves
nothing to clean up: the next step starts from the marks that are there.
"""

from storage.rollups.figures import ROLLUPS, RollupName
from storage.rollups.rebuild import rebuild
from storage.rollups.roller import Advanced, Behind, Rollups

__all__ = ["ROLLUPS", "Advanced", "Behind", "RollupName", "Rollups", "rebuild"]
