"""Reads and writes published checkpoints: big_vision's .npz, Hugging Face's folders and our SavedModels.

Each format has one module, which reads a file into a `Checkpoint` and writes a `Checkpoint` to a file.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.pretrained.checkpoint import Checkpoint
    from models.pretrained.errors import PretrainedError
    from models.pretrained.formats import load, load_fitting, read, read_parts, write
    from models.pretrained.restoration import differing_inputs, require_fit, require_same_vocabulary, restore

__all__ = [
    "Checkpoint",
    "PretrainedError",
    "differing_inputs",
    "load",
    "load_fitting",
    "read",
    "read_parts",
    "require_fit",
    "require_same_vocabulary",
    "restore",
    "write",
]

_MODULES = {
    "Checkpoint": "checkpoint",
    "PretrainedError": "errors",
    "differing_inputs": "restoration",
    "load": "formats",
    "load_fitting": "formats",
    "read": "formats",
    "read_parts": "formats",
    "require_fit": "restoration",
    "require_same_vocabulary": "restoration",
    "restore": "restoration",
    "write": "formats",
}


def __getattr__(name: str) -> Any:
    """Imports a name at first use: Python imports this package before __main__, which must silence TensorFlow first."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
