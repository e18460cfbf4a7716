"""Wrap what an application already calls: every inference through it is mirrored, and nothing else changes.

Nothing here imports tritonclient, openai or numpy; their objects come from the application.
"""

from inferwatch.wrappers.errors import UnknownClientError
from inferwatch.wrappers.guard import faults
from inferwatch.wrappers.observe import observe
from inferwatch.wrappers.openai_client import wrap_openai
from inferwatch.wrappers.patching import unwrap
from inferwatch.wrappers.triton_client import wrap_triton

__all__ = ["UnknownClientError", "faults", "observe", "unwrap", "wrap_openai", "wrap_triton"]
