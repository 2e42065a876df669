"""Published checkpoints in and out: big_vision's .npz, Hugging Face's folders, our SavedModels.

Each format has one module, which reads it into the one form that is `Checkpoint`, and writes it from there.
"""

from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError
from models.pretrained.formats import load, read, write
from models.pretrained.restore import require_same_vocabulary, restore

__all__ = ["Checkpoint", "PretrainedError", "load", "read", "require_same_vocabulary", "restore", "write"]
