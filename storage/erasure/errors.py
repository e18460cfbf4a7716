"""What erasing can raise.

StorageError
└── ErasureError
    ├── BadSubject        what is to be erased cannot be an id of that kind
    ├── MutationFailed    ClickHouse could not rewrite a table; the mutation was cancelled
    └── FileNotErased     an export could not be rewritten
"""

from __future__ import annotations

from storage.errors import StorageError


class ErasureError(StorageError):
    """Base of everything erasing raises."""


class BadSubject(ErasureError):
    """`identity` is no id of a `kind`."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"--{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class MutationFailed(ErasureError):
    """Rewriting `table` failed. The mutation was cancelled, for it would have held up all others."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"ClickHouse could not rewrite {table}: {reason}. Run the command again.")
        self.table = table
        self.reason = reason


class FileNotErased(ErasureError):
    """The export at `path` could not be rewritten."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} could not be rewritten: {reason}. Make it writable, then run the command again.")
        self.path = path
        self.reason = reason
