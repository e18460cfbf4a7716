"""Prompts of two topics, in enough variety to have a distribution; and documents that no small model can take."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

_BANKING: Final = (
    "How do I change the limit of my {card}?",
    "My {card} was declined {when}. What can I do?",
    "Can I get a replacement for my {card}?",
    "What does it cost to use my {card} {where}?",
    "I forgot the PIN of my {card}. How do I get a new one?",
    "A payment from {when} shows up twice on my account. Why?",
    "How long does a transfer {where} take?",
    "Which fees do you charge for transfers {where}?",
    "How do I open a savings account {where}?",
    "What is the interest rate of a savings account?",
    "How can I cancel a standing order that I set up {when}?",
    "Why is my account balance different from {when}?",
    "Can I deposit cash into my account {where}?",
    "How do I raise an objection to a direct debit from {when}?",
    "Which documents do I need for a mortgage?",
    "How do I activate my new {card}?",
    "Is my {card} accepted {where}?",
    "I would like a statement of my account for {when}.",
    "How do I add someone to my account?",
    "Can I block my {card} in the app?",
)
_CARDS: Final = ("credit card", "debit card", "business card", "prepaid card", "travel card", "second card")
_WHEN: Final = ("yesterday", "last week", "last month", "on Monday", "this morning", "in March", "over the weekend")
_WHERE: Final = ("abroad", "in Spain", "in Japan", "in Canada", "at a branch", "in another currency", "online")
_CLOSINGS: Final = (
    "",
    "",
    "",
    " Thank you.",
    " Please answer soon.",
    " You can reach me in the evening.",
    " I have written to you before.",
)

_COOKING: Final = (
    "How long do I roast {food} in the oven?",
    "Which spices go well with {food}?",
    "My {food} came out too dry. What went wrong?",
    "Can I freeze {food} and reheat it later?",
    "What is a good sauce for {food}?",
    "How do I make {food} without an oven?",
    "Give me a quick recipe with {food} and rice.",
    "At what temperature is {food} done?",
    "How do I marinate {food} overnight?",
    "Which wine would you serve with {food}?",
)
_FOODS: Final = (
    "chicken",
    "salmon",
    "pumpkin",
    "lentils",
    "lamb",
    "tofu",
    "mushrooms",
    "aubergine",
    "beef",
    "potatoes",
)

_CONTACT: Final = (
    " You can reach me at {value}.",
    " For your files: {value}.",
    " I have written to you before, from {value}.",
)


def banking(rng: random.Random) -> str:
    """Return a question that a bank's customer might ask."""
    text = rng.choice(_BANKING).format(card=rng.choice(_CARDS), when=rng.choice(_WHEN), where=rng.choice(_WHERE))
    return text + rng.choice(_CLOSINGS)


def cooking(rng: random.Random) -> str:
    """Return a question about cooking."""
    return rng.choice(_COOKING).format(food=rng.choice(_FOODS))


def with_values(text: str, values: Sequence[str], rng: random.Random) -> str:
    """Return a prompt that also says something personal."""
    return text + rng.choice(_CONTACT).format(value=" or ".join(values))


def too_long(rng: random.Random, words: int = 6000) -> str:
    """Return a request about a document far longer than SmolLM2's context."""
    document = " ".join(banking(rng) for _ in range(words // 10))
    return f"Summarise these letters: {document}"
