"""Environments of the peers: uv makes each from a lock of its own, tests/benchmarks/peers/NAME.txt, below .venv-peers.

PyPI has no build of PyTorch without CUDA for Linux. CUDA's libraries come with it (5 GB for each environment), because
`import torch` loads them.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys

from requirements import choose_stack
from tests.benchmarks.alternation import Competitor

_PROJECT = pathlib.Path(__file__).parents[2]
SCRIPTS = LOCKS = pathlib.Path(__file__).parent / "peers"
FOLDER = _PROJECT / ".venv-peers"


class NotMade(Exception):
    """An environment cannot be made; the message says why."""


def python_of(name: str, folder: pathlib.Path = FOLDER, locks: pathlib.Path = LOCKS) -> str:
    """Makes the environment of a peer, unless it is there and its lock is unchanged.

    Returns:
      The path of its interpreter.

    Raises:
      NotMade: there is no Python for it, or packages cannot be had.
    """
    lock, target = locks / f"{name}.txt", folder / name
    base = sys.executable if sys.version_info >= (3, 11) else choose_stack.find_python(choose_stack.STACKS[0])
    if base is None:
        raise NotMade("no Python 3.11, 3.12 or 3.13 with its venv module was found")
    mark, want = target / ".made-from", hashlib.sha256(lock.read_bytes() + base.encode()).hexdigest()
    python = target / "bin" / "python"
    if not mark.is_file() or mark.read_text() != want:
        print(f"  making {target} from {lock.name} (once)", flush=True)
        shutil.rmtree(target, ignore_errors=True)
        _uv("venv", "--quiet", "--python", base, str(target))
        _uv("pip", "sync", "--quiet", "--python", str(python), str(lock))
        mark.write_text(want)
    return str(python)


def ours(script: str, *arguments: str) -> Competitor:
    """A script of tests/benchmarks/peers that runs in this process's environment."""
    return Competitor("ours", (sys.executable, str(SCRIPTS / script), *arguments))


def peer(name: str, script: str, *arguments: str, lock: str = "") -> Competitor:
    """A script that runs in the environment of its peer; `lock` names the lock if it is not the peer's name."""
    try:
        return Competitor(name, (python_of(lock or name), str(SCRIPTS / script), *arguments))
    except NotMade as reason:
        return Competitor(name, absent=f"its environment cannot be made: {reason}")


def _uv(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise NotMade(f"uv {' '.join(arguments[:2])} failed: {' '.join(said)[:300]}")
