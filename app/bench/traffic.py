"""Mirrored chat traffic for benchmarks: events of about 1.2 kB, one in five with personal data."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Final

import msgspec
from stdnum import iban, luhn

from inferwatch.events import InferenceEvent, text_message

PII_SHARE: Final = 0.2
_POOL: Final = 20_000
_WORDS: Final = 4_000
_ID: Final = "00000000-0000-7000-8000-000000000000"
_TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
_SYLLABLES: Final = (
    *("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi"),
    *("tion", "ment", "ing", "er", "al", "ous", "ity", "ness", "able", "est"),
)
_APPLICATIONS: Final = tuple(
    (*application, *prompt)
    for application in (
        ("assistant", "support", "smollm2"),
        ("search", "growth", "llama-3.1-8b"),
        ("mail", "support", "smollm2"),
        ("reports", "risk", "llama-3.1-8b"),
        ("moderation", "platform", "smollm2-chat"),
    )
    for prompt in (("answer", "7"), ("answer", "8"), ("summarise", "3"))
)
_SHARES: Final = tuple(1 / rank for rank in range(1, len(_APPLICATIONS) + 1))
_NUMBERS: Final = ("in {0} days", "for {1}.{0:02d} EUR", "order {1}", "at {2:02d}:{0:02d}", "on 2026-0{3}-{2:02d}",
                   "version {3}.{0}.{2}", "{0} %", "about {1} units")  # fmt: skip


def lines(events: int, ends_at: float, seed: int = 1) -> Iterator[bytes]:
    """Yield encoded events, each with ids of its own, that ended in the hour before `ends_at`, in order of time.

    Texts repeat after 20,000 events, which is more than the store compresses together.
    """
    rng = random.Random(seed)  # noqa: S311 - traffic, not a secret
    pool = [_split(line) for line in _pool(rng)]
    start = ends_at - 3600
    for number in range(events):
        before, between, after = pool[number % _POOL]
        event_id = str(uuid.UUID(int=(0x7 << 76) | (0x8 << 60) | rng.getrandbits(60) | (number << 80)))
        started = start + 3590 * number / events
        yield b"".join(
            (b'{"event_id":"', event_id.encode(), before, b"%.6f" % started, between, b"%032x" % rng.getrandbits(128),
             after)
        )  # fmt: skip


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    head, rest = line[len('{"event_id":"') + len(_ID) :].split(b"1.5", 1)
    between, after = rest.split(_TRACE.encode(), 1)
    return head, between, after


def _pool(rng: random.Random) -> list[bytes]:
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(_WORDS)]
    weights = [1 / rank for rank in range(1, _WORDS + 1)]
    encode = msgspec.json.Encoder().encode
    return [encode(_event(rng, words, weights)) for _ in range(_POOL)]


def _event(rng: random.Random, words: list[str], weights: list[float]) -> InferenceEvent:
    asked, answered = _text(rng, words, weights, 190), _text(rng, words, weights, 160)
    if rng.random() < PII_SHARE:
        asked = _with(asked, rng.choice(_VALUES)(rng), rng)
    duration = rng.lognormvariate(-0.2, 0.6)
    service, team, model, prompt, version = rng.choices(_APPLICATIONS, _SHARES)[0]
    return InferenceEvent(
        event_id=_ID,
        started_at=1.5,
        duration=duration,
        source="sidecar-http",
        trace_id=_TRACE,
        span_id=f"{rng.getrandbits(64):016x}",
        conversation_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        environment=rng.choices(("production", "staging"), (9, 1))[0],
        user=f"user-{rng.randrange(5_000)}",
        service=service,
        team=team,
        request_model=model,
        model_version="2",
        prompt_name=prompt,
        prompt_version=version,
        parameters={"temperature": 0.7, "max_tokens": 256},
        stream=True,
        time_to_first_token=duration * rng.uniform(0.05, 0.4),
        input_messages=(text_message("system", "You are a helpful assistant."), text_message("user", asked)),
        output_messages=(text_message("assistant", answered),),
        input_tokens=rng.randrange(60, 180),
        output_tokens=rng.randrange(20, 120),
        token_source="reported",  # noqa: S106 - tokens of text
        status=rng.choices(("ok", "error"), (98, 2))[0],
        finish_reasons=("stop",),
        attributes={"region": rng.choice(("eu-west-1", "us-east-1"))},
    )


def _text(rng: random.Random, words: list[str], weights: list[float], characters: int) -> str:
    chosen: list[str] = []
    length = 0
    for word in rng.choices(words, weights, k=characters):
        if rng.random() < 0.03:
            word = rng.choice(_NUMBERS).format(rng.randrange(60), rng.randrange(1000, 99999), rng.randrange(1, 13),
                                               rng.randrange(1, 10))  # fmt: skip
        chosen.append(word)
        length += len(word) + 1
        if length >= characters:
            break
    return " ".join(chosen) + "."


def _with(text: str, value: str, rng: random.Random) -> str:
    place = text.find(" ", rng.randrange(len(text) // 2))
    return f"{text[:place]} {value}{text[place:]}"


def _card(rng: random.Random) -> str:
    digits = "4" + "".join(rng.choices("0123456789", k=14))
    return digits + luhn.calc_check_digit(digits)


def _iban(rng: random.Random) -> str:
    account = "".join(rng.choices("0123456789", k=18))
    return f"DE{iban.calc_check_digits(f'DE00{account}')}{account}"


_VALUES: Final = (
    lambda rng: f"write to person{rng.getrandbits(32)}@mail{rng.randrange(99)}.example.com",
    lambda rng: f"call me at +49 30 {rng.randrange(1_000_000, 9_999_999)}",
    lambda rng: f"my card is {_card(rng)}",
    lambda rng: f"pay to {_iban(rng)}",
    lambda rng: f"from 203.{rng.randrange(255)}.{rng.randrange(255)}.{rng.randrange(1, 255)}",
)
