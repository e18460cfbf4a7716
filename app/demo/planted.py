"""Personal data made up for the demo: valid in form, and each value different, so that it can be searched for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stdnum import iban, luhn

_NAMES: Final = ("ada", "grace", "alan", "edsger", "barbara", "donald", "radia", "tim", "margaret", "dennis")


@dataclass(frozen=True, slots=True)
class Planted:
    """A value and the type that it must be recognised as."""

    entity_type: str
    value: str


def values(rng: random.Random) -> Iterator[Planted]:
    """Yield values without end, type after type, none twice."""
    seen: set[str] = set()
    makers = (_email, _card, _iban, _phone, _ssn)
    while True:
        for maker in makers:
            planted = maker(rng)
            if planted.value not in seen:
                seen.add(planted.value)
                yield planted


def _email(rng: random.Random) -> Planted:
    return Planted("EMAIL_ADDRESS", f"{rng.choice(_NAMES)}.{rng.randrange(10**6):06d}@example.org")


def _card(rng: random.Random) -> Planted:
    digits = f"4{rng.randrange(10**14):014d}"
    digits += luhn.calc_check_digit(digits)
    return Planted("CREDIT_CARD", " ".join(digits[i : i + 4] for i in range(0, 16, 4)))


def _iban(rng: random.Random) -> Planted:
    account = f"{rng.randrange(10**8):08d}{rng.randrange(10**10):010d}"
    return Planted("IBAN_CODE", f"DE{iban.calc_check_digits('DE00' + account)}{account}")


def _phone(rng: random.Random) -> Planted:
    # 020 7946 0000 to 0999 is the range that Ofcom keeps free for drama.
    return Planted("PHONE_NUMBER", f"+44 20 7946 {rng.randrange(1000):04d}")


def _ssn(rng: random.Random) -> Planted:
    area = rng.choice([number for number in range(100, 700) if number != 666])
    return Planted("US_SSN", f"{area}-{rng.randrange(1, 100):02d}-{rng.randrange(1, 10_000):04d}")
