"""IP addresses of either version, told apart from version numbers, clock times, MAC addresses and `a::b` in code."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from detectors.pii import wire
from detectors.pii.recogniser import Signs, in_two_ways, words_before
from detectors.pii.spans import EntityType, Span

_V4 = in_two_ways(r"\d(?<![\w.-]\d)\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)")
_V6 = re.compile(r"(?<![\w:.-])(?=[0-9A-Fa-f:]{0,39}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{3,39}(?:\.\d{1,3}){0,3}(?![\w:])")
_VERSIONS = frozenset({"version", "versions", "ver", "release", "build", "revision", "firmware"})


class IpRecogniser:
    """Finds IP addresses; those that name no machine (loopback, unspecified) are left out."""

    entity_types: frozenset[EntityType] = frozenset({"IP_ADDRESS"})
    needs_digit = True
    shortest = 4

    def signs(self) -> Signs:
        """Four numbers between dots; six groups between colons, or fewer with a double colon."""
        left, group = wire.after(r"\w:.\-"), "[0-9A-Fa-f]{1,4}"
        return Signs(
            coarse=(r"\d\.\d{1,3}\.\d{1,3}\.\d", rf":(?:{group}:){{5}}", "::"),
            fine=(
                wire.after(r"\w.\-") + r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}[^\w\-]",
                rf"{left}(?:{group}:){{6}}[0-9A-Fa-f]",
                rf"{left}{group}(?::{group})*::[0-9A-Fa-f]",
                rf"{left}{group}(?::{group})+::",
                rf"{left}::{group}:[0-9A-Fa-f]",
            ),
        )

    def possible(self, text: str) -> bool:
        """Whether there is something of such a shape."""
        return _V4[text.isascii()].search(text) is not None or (_may_be_v6(text) and _V6.search(text) is not None)

    def find(self, text: str) -> Iterator[Span]:
        """Addresses that parse."""
        for match in _V4[text.isascii()].finditer(text):
            named = not _VERSIONS.isdisjoint(words_before(text, match.start(), 12)[:1])
            if not named and _names_a_machine(match.group()):
                yield Span("IP_ADDRESS", match.start(), match.end(), 0.9)
        for match in _V6.finditer(text) if _may_be_v6(text) else ():
            written = match.group().rstrip(":") if not match.group().endswith("::") else match.group()
            if _is_written_out(written) and _names_a_machine(written):
                yield Span("IP_ADDRESS", match.start(), match.start() + len(written), 0.9)


def _may_be_v6(text: str) -> bool:
    """Whether there are the colons of eight groups, the last two of which may be a version 4 address, or of fewer."""
    return "::" in text or text.count(":") >= 6


def _names_a_machine(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _is_written_out(written: str) -> bool:
    """Whether it is more than `cafe::add` in a program or eight bytes of hardware address."""
    groups = [group for group in written.split(":") if group]
    hardware = len(groups) == 8 and all(len(group) == 2 for group in groups)
    return not hardware and len(groups) >= 2 and any(char.isdigit() for char in written)
