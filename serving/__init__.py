"""Triton: two real models, a launcher for this machine, an embedding client and model control.

The clients live in `serving.embedder` and `serving.control`; importing this package alone does not import tritonclient.
"""

from serving.errors import (
    ControlFailed,
    EmbedderUnavailable,
    FileMissing,
    ModelUnknown,
    PackageMissing,
    PackageUnfit,
    PortTaken,
    ServingError,
    SettingInvalid,
    TritonUnreachable,
)
from serving.launch import Launch, prepare
from serving.settings import TritonSettings

__all__ = [
    "ControlFailed",
    "EmbedderUnavailable",
    "FileMissing",
    "Launch",
    "ModelUnknown",
    "PackageMissing",
    "PackageUnfit",
    "PortTaken",
    "ServingError",
    "SettingInvalid",
    "TritonSettings",
    "TritonUnreachable",
    "prepare",
]
