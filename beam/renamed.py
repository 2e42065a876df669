"""Commands that have moved to pipeline/: their old names work for one release."""

import runpy
import sys


def run(old: str, new: str) -> None:
    """Runs the module `new` as a command, after a line on stderr that names it."""
    print(f"note: `python -m {old}` is now `python -m {new}`; the next release removes the old name", file=sys.stderr)
    runpy.run_module(new, run_name="__main__", alter_sys=True)
