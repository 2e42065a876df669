"""Reads the JSON files of a Hugging Face folder."""

import json
import os
from typing import Any

from models.pretrained.errors import PretrainedError


def read_json(folder: str, name: str) -> dict[str, Any]:
    """Returns the JSON object of a file in the folder; PretrainedError if it holds none."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise PretrainedError(f"{path} cannot be read as JSON ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise PretrainedError(f"{path} holds no JSON object; get the file again")
    return content
