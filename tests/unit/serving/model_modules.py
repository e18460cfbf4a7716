"""The modules beside the models, loaded from where Triton finds them; their folders are no packages."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from serving.settings import MODELS


def model_module(model: str, name: str) -> ModuleType:
    """A module of a model's version 1, under a name of its own that no other module has."""
    unique = f"serving_model_{model}_{name}"
    if unique not in sys.modules:
        spec = spec_from_file_location(unique, MODELS / model / "1" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[unique] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[unique])
    return sys.modules[unique]
