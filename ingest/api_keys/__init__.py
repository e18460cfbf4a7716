"""Keys that senders show: made, kept as hashes in a file, and recognised.

`key` says what a key is, `file` reads and writes the file, `ring` recognises keys while a service runs.
"""

from ingest.api_keys.file import create, load, revoke
from ingest.api_keys.key import ApiKey
from ingest.api_keys.ring import KeyRing

__all__ = ["ApiKey", "KeyRing", "create", "load", "revoke"]
