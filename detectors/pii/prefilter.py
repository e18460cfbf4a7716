"""Which recognisers are worth running on a text; most texts need none.

The one place that looks at every text, and so the one to replace by a faster matcher over all patterns at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from detectors.pii.recogniser import Recogniser

_DIGIT = re.compile(r"\d")


def worth_running(recognisers: Sequence[Recogniser], text: str) -> list[Recogniser]:
    """Those of `recognisers` that may find something in `text`."""
    digits = _DIGIT.search(text) is not None
    return [each for each in recognisers if (digits or not each.needs_digit) and each.possible(text)]
