"""How a command starts and ends: its arguments, its errors, and the folder that it writes."""

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

from absl import app, flags

from models import files


def script(main: Callable[[list[str]], None], *required: str) -> Callable[[], None]:
    """Returns the entry of a console script: it parses the flags, of which `required` must be set, and calls `main`."""
    return functools.partial(_run, main, required)


def _run(main: Callable[[list[str]], None], required: Sequence[str]) -> None:
    flags.mark_flags_as_required(required)
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith("pipeline."):  # --help lists these as well, not only those of the command's own file
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(main)


def refuse_arguments(argv: Sequence[str]) -> None:
    """Raises UsageError when `argv` has more than the program's name: the command takes flags only."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}; flags start with --")


def action(argv: Sequence[str], actions: Sequence[str]) -> str:
    """Returns the one argument of a command with actions; raises UsageError unless it is one of `actions`."""
    if len(argv) != 2 or argv[1] not in actions:
        given = " ".join(argv[1:]) or "missing"
        raise app.UsageError(f"the action is {given}, but must be one of {', '.join(actions)}; name one")
    return argv[1]


@contextlib.contextmanager
def errors_as_lines(*more: type[Exception]) -> Iterator[None]:
    """Ends the process with the line `error: ...` and exit code 1 when a ValueError, or one of `more`, is raised.

    These are errors that the user can fix; any other exception keeps its traceback.
    """
    try:
        yield
    except (ValueError, *more) as error:
        sys.exit(f"error: {error}")


def require_local(path: str, flag: str = "output_dir") -> None:
    """Raises ValueError if the path that a flag names is an address, such as gs://BUCKET/FOLDER."""
    if not files.is_local(path):
        raise ValueError(
            f"--{flag}={path} is not a path of this machine; name one, and copy what the command writes from there"
        )


def require_writable(folder: str, flag: str = "output_dir") -> None:
    """Makes the folder that a flag names.

    Raises:
      ValueError: no file can be written there; the message says why and what to do.
    """
    require_local(folder, flag)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise ValueError(
            f"--{flag}={folder} cannot be written ({error.strerror}); name a folder of your own"
        ) from error
