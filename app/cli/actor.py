"""Who is at the command line, for the audit log."""

from __future__ import annotations

import getpass
import os


def who() -> str:
    """Return the user's name or, in a container that has none for it, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
