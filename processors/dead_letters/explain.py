"""What a reason means, and what to do about it."""

from __future__ import annotations

import re
from typing import Final

_HINTS: Final = (
    (
        r"empty record",
        "A record without any text, or a tombstone, came where events should be. Find out which producer sends it; "
        "there is nothing in it to replay.",
    ),
    (
        r"more than \d+ events in one record",
        "A record is stored all at once, and this one is too large for that. Let the producer send fewer events a "
        "record; replayed as it is, it fails again.",
    ),
    (
        r"not JSON",
        "The line is no JSON in UTF-8: often it was cut, or two writers wrote into one another, or it is another "
        "format. Mend the producer and let it send again; replayed as it is, the line fails again.",
    ),
    (
        r"schema_version \d+ is newer",
        "A producer uses a newer SDK than this platform knows. Upgrade the platform, then replay.",
    ),
    (
        r"started_at: more than .* days ago",
        "The event is older than events may be. Was a producer without a connection for long, or is its clock "
        "wrong? Replayed, it fails again.",
    ),
    (
        r"started_at: ends more than .* from now",
        "The event ended in the future: the clock of the machine that sent it is ahead. Set that clock; once the "
        "time has come, the event can be replayed.",
    ),
    (r"not a UUID", "Each event needs an id of its own, a UUID of 36 characters. Mend the producer."),
    (
        r"request_model: neither",
        "Nothing says which model was asked. Mend the producer, or the route of the sidecar.",
    ),
    (
        r"missing required field",
        "A field that every event has is not there: see the field's name in the reason. Mend the producer.",
    ),
    (
        r"[Ee]xpected `",
        "A field has another type than it should: the path in the reason says which one. Mend the producer.",
    ),
    (
        r"nested too deeply",
        "Lists or objects within one another, hundreds deep. No honest producer sends that; look at where it is from.",
    ),
    (
        r"more than \d+ (characters|numbers)|: more than \d+$|not between|negative|too long or not a number",
        "A value is beyond what it may be: the path in the reason says which one. Mend the producer.",
    ),
    (
        r"not an? [A-Z]\w+: ",
        "A record between the processors of this platform itself could not be read. During an upgrade old and new "
        "workers may not understand each other: finish it, then replay.",
    ),
)
_UNKNOWN: Final = "Look at the payload and at what sent it; when the cause is gone, replay it."


def hint(reason: str) -> str:
    """Return one or two sentences for whoever reads a dead letter."""
    return next((text for pattern, text in _HINTS if re.search(pattern, reason)), _UNKNOWN)
