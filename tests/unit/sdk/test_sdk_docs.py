"""The page on the SDK says of settings what holds, and its examples are Python."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

from inferwatch import MirrorSettings

PAGE = (Path(__file__).parents[3] / "docs" / "sdk.md").read_text()


def test_every_setting_is_there_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", PAGE.partition("## Settings")[2], re.MULTILINE))
    defaults = {
        field.name: repr(field.default if field.default_factory is MISSING else field.default_factory())
        for field in fields(MirrorSettings)
    }
    assert told == defaults


def test_every_example_is_python() -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 7
    for example in examples:
        ast.parse(example)
