"""Chooses the newest stack that this machine can load, and a Python for it; prints "STACK PYTHON".

It runs under Python 3.8 or newer and needs no package. STACK=tfx-1.16 or STACK=tfx-1.21 forces a stack.
"""

import ctypes
import glob
import os
import platform
import shutil
import subprocess
import sys
from typing import NamedTuple


class Stack(NamedTuple):
    """A lock, and the requirements of its wheels."""

    name: str
    pythons: tuple[str, ...]  # preferred first
    glibc: tuple[int, int]
    libstdcxx: tuple[str, ...]  # symbol versions that it must have
    builds: bool  # whether a package has no wheel and must be compiled
    why: str


STACKS = (  # newest first
    Stack(
        "tfx-1.21",
        ("3.13", "3.12", "3.11"),
        (2, 38),
        ("GLIBCXX_3.4.32", "CXXABI_1.3.15"),
        True,
        "tensorflow-data-validation needs glibc 2.38, ml-metadata needs GLIBCXX_3.4.32 and CXXABI_1.3.15",
    ),
    Stack("tfx-1.16", ("3.10",), (2, 17), (), False, "its wheels are built for glibc 2.17"),
)


def main() -> int:
    """Prints the choice, or prints on standard error why no stack can be used."""
    forced = os.environ.get("STACK", "")
    names = [stack.name for stack in STACKS]
    if forced and forced not in names:
        return complain(f"STACK is {forced!r}, but must be one of {', '.join(names)}")
    reasons: dict[str, str] = {}
    for stack in STACKS:
        if forced and stack.name != forced:
            continue
        python = find_python(stack)
        missing = missing_libraries(stack)
        if missing:
            reasons[stack.name] = f"this machine has {missing}, but {stack.why}"
        elif python is None:
            reasons[stack.name] = f"no working Python {' or '.join(stack.pythons)} with its venv module was found"
        elif stack.builds and not can_build(python):
            reasons[stack.name] = f"pyfarmhash has no wheel, and g++ or the headers of {python} are missing"
        else:
            skipped = "".join(f" (skipped {name}: {reason})" for name, reason in reasons.items())
            print(f"stack {stack.name} with {python}{skipped}", file=sys.stderr)
            print(stack.name, python)
            return 0
    for name, reason in reasons.items():
        complain(f"{name} cannot be used: {reason}")
    return complain(
        "install a Python, for example with `apt-get install python3.10-venv`, `pyenv install 3.10`, or "
        "`pip install uv && uv python install 3.10`; this script searches PATH, the versions of pyenv, and uv"
    )


def complain(message: str) -> int:
    """Prints one line of error and returns the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return 1


def missing_libraries(stack: Stack) -> str:
    """Names the library of this machine that is too old for the stack; "" if none is."""
    version = platform.libc_ver()[1] or "0.0"
    if tuple(int(part) for part in version.split(".")[:2]) < stack.glibc:
        return f"glibc {version}"
    symbols = libstdcxx_content() if stack.libstdcxx else b""
    lacking = [symbol for symbol in stack.libstdcxx if symbol.encode() not in symbols]
    return f"a libstdc++ without {' and '.join(lacking)}" if lacking else ""


def libstdcxx_content() -> bytes:
    """Returns the bytes of the libstdc++ that a process on this machine loads; b"" if there is none."""
    try:
        ctypes.CDLL("libstdc++.so.6")
    except OSError:
        return b""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "libstdc++" in line}
    return b"".join(open(path, "rb").read() for path in paths)


def can_build(python: str) -> bool:
    """Returns whether this machine can compile a C++ extension for that Python."""
    code = "import os, sysconfig; print(os.path.join(sysconfig.get_paths()['include'], 'Python.h'))"
    header = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    return bool(shutil.which("g++")) and os.path.isfile(header)


def find_python(stack: Stack) -> str | None:
    """Returns the first interpreter for the stack that runs and can make a virtual environment."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for version in stack.pythons:
        candidates: list[str] = []
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            candidates.append(os.path.join(folder, f"python{version}"))
        candidates += sorted(glob.glob(os.path.join(pyenv, "versions", f"{version}.*", "bin", f"python{version}")))
        for candidate in candidates:
            if works(candidate, version):
                return candidate
    return python_of_uv(stack)


def works(python: str, version: str) -> bool:
    """Returns whether `python` runs as that version and has its venv module: a shim of pyenv may exist and not run."""
    if not os.access(python, os.X_OK):
        return False
    code = f"import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def python_of_uv(stack: Stack) -> str | None:
    """Returns an interpreter that uv has or can download."""
    uv = shutil.which("uv")
    for version in stack.pythons if uv else ():
        subprocess.run([uv, "python", "install", "--quiet", version], capture_output=True, check=False)
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if found.returncode == 0 and works(found.stdout.strip(), version):
            return found.stdout.strip()
    return None


if __name__ == "__main__":
    sys.exit(main())
