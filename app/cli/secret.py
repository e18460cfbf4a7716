"""A warning about the secret that nobody set."""

from __future__ import annotations

import click


def say_if_secret_is_default(secret: str) -> None:
    """Warn where user ids are hashed with the secret that the source code shows."""
    from processors.settings import EnrichSettings

    if secret == EnrichSettings().user_hash_secret:
        click.echo(
            "INFERWATCH_USER_HASH_SECRET is not set: user ids are hashed with a secret that everyone knows. "
            "Set it to any long random text before real users come.",
            err=True,
        )
