"""The class names of ImageNet that CLIP and SigLIP are evaluated with, fetched from big_vision."""

import ast
import hashlib
import json
import os
import urllib.error
import urllib.request

from models import files

URL = "https://raw.githubusercontent.com/google-research/big_vision/main/big_vision/datasets/imagenet/class_names.py"
IMAGENET = "imagenet"
CLASSES_FILE = "classes.json"
SHA256 = "571ae1c583b4be7da87519494c52bf405a46af05d5815627c7a0dee997068b60"
"""Of the names, joined by line ends."""
_LIST = "CLIP_IMAGENET_CLASS_NAMES"
_SECONDS, _LARGEST = 60, 8 << 20


def write(folder: str, url: str = URL) -> str:
    """Writes CLASSES_FILE, a JSON list of 1,000 names in the order of the labels; returns a line that says so.

    Two names occur twice, as they were published: "missile" and "sunglasses". Two labels then share a class.

    Args:
      folder: is made if it does not exist.
      url: address of big_vision's file, or file:// and the path of a copy.

    Raises:
      ValueError: the file cannot be fetched, or has other names.
    """
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            text = answer.read(_LARGEST).decode()
        names = _names(text)
    except (OSError, urllib.error.URLError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"--url={url} cannot be read ({error}); download big_vision/datasets/imagenet/class_names.py by other "
            "means, and name it as --url=file:///PATH"
        ) from error
    found = hashlib.sha256("\n".join(names).encode()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"--url={url} has {len(names)} names with SHA-256 {found}, but must have those of {SHA256}; name the "
            "file of google-research/big_vision"
        )
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, CLASSES_FILE)
    files.write_text(path, json.dumps(names, indent=0, ensure_ascii=False) + "\n")
    return f"{path}: {len(names):,} names, {len({*names}):,} different ones"


def _names(text: str) -> list[str]:
    """The list of names in a Python file, which is parsed and not run."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == _LIST:
            names = ast.literal_eval(node.value)
            return [str(name) for name in names]
    raise ValueError(f"it has no list {_LIST}")
