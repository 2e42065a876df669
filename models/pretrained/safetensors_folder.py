"""The tensors of a folder of Hugging Face: model.safetensors, or its parts by model.safetensors.index.json."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from models.pretrained.errors import PretrainedError
from models.pretrained.json_files import read_json
from models.pretrained.layout import Shapes

WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


@contextlib.contextmanager
def opened(folder: str, weights: str = WEIGHTS) -> Iterator[tuple[Shapes, Callable[[str], np.ndarray]]]:
    """Yields {name of a tensor: shape}, and what loads a tensor by its name.

    Args:
      folder: with the files.
      weights: name of the file that holds all tensors, if there is one.

    Raises:
      PretrainedError: a file is missing, damaged or a pickle, or the index does not fit the files.
    """
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_open(os.path.join(folder, name))) for name in _parts(folder, weights)}
        keys = {name: file.keys() for name, file in files.items()}
        where = {tensor: name for name, tensors in keys.items() for tensor in tensors}
        _require_index(folder, weights, where, sum(map(len, keys.values())))
        found = {tensor: tuple(files[name].get_slice(tensor).get_shape()) for tensor, name in where.items()}

        def load(tensor: str) -> np.ndarray:
            with _errors_of(os.path.join(folder, where[tensor])):
                return files[where[tensor]].get_tensor(tensor)

        yield found, load


def _parts(folder: str, weights: str) -> list[str]:
    """Returns the names of the files that hold tensors."""
    if os.path.isfile(os.path.join(folder, weights)):
        return [weights]
    if not os.path.isfile(os.path.join(folder, _INDEX)):
        pickled = [name for name in sorted(os.listdir(folder)) if name.endswith((".bin", ".pt", ".pth", ".msgpack"))]
        why = f"; {', '.join(pickled)} may run any code and is never loaded" if pickled else ""
        raise PretrainedError(f"{folder} has no {weights} and no {_INDEX}{why}; save the model as safetensors")
    parts = sorted({*_weight_map(folder).values()})
    for name in parts:
        if name != os.path.basename(name):
            raise PretrainedError(f"{folder}/{_INDEX} names {name!r}, which lies elsewhere; name files in this folder")
    return parts


def _weight_map(folder: str) -> dict[str, str]:
    found = read_json(folder, _INDEX).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()) or not found:
        raise PretrainedError(f"{folder}/{_INDEX}: weight_map must name each tensor's file; get the file again")
    return found


def _require_index(folder: str, weights: str, where: dict[str, str], count: int) -> None:
    """Raises PretrainedError if there is an index and its tensors differ from those of the files."""
    if os.path.isfile(os.path.join(folder, weights)):
        return
    index = _weight_map(folder)
    differ = sorted(name for name in {*index, *where} if index.get(name) != where.get(name))
    if differ or count != len(where):
        name = differ[0] if differ else ""
        problem = f"{name} is in {where.get(name, 'no file')}, but the index says {index.get(name, 'no file')}"
        raise PretrainedError(
            f"{folder}/{_INDEX}: {problem if differ else 'two files have the same tensor'}; "
            "get all files again, from one place"
        )


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        fix = "add it" if isinstance(error, FileNotFoundError) else "it is damaged or cut short, get it again"
        raise PretrainedError(f"{path} cannot be read as safetensors ({error}); {fix}") from error


def _open(path: str) -> Any:
    with _errors_of(path):
        return safe_open(path, "numpy")
