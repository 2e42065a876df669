"""Fetches the drawings of six artists: `python -m pipeline.emoji_artists output/emoji-artists/packages`.

They are icon sets of Iconify (https://iconify.design), in npm packages. `make emoji-artists` runs this command.
"""

import base64
import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from typing import NamedTuple

from absl import app

from models import files
from pipeline.console import command_line

PINS_FILE = "packages.json"
"""What was fetched; it lies beside the packages."""
_FILES = ("icons.json", "info.json")
_SCOPE = "@iconify-json/"
_SECONDS = 900  # npm tries each request again, up to three times


class Package(NamedTuple):
    """An icon set, pinned.

    Attributes:
      artist: prefix of the icon set, which is the package's name without the scope.
      version: of the package.
      integrity: hash of the package, in npm's form: "sha512-" and base64.
      licence: SPDX identifier.
    """

    artist: str
    version: str
    integrity: str
    licence: str


PACKAGES = (
    Package(
        "openmoji",
        "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        "CC-BY-SA-4.0",
    ),
    Package(
        "noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
    ),
    Package(
        "twemoji",
        "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
    ),
    Package(
        "emojione",
        "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "CC-BY-4.0",
    ),
    Package(
        "fluent-emoji-flat",
        "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
    ),
    Package(
        "emojione-v1",
        "1.2.3",
        "sha512-UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
        "CC-BY-SA-4.0",
    ),
)


@command_line.errors_as_lines(OSError)
def main(argv: list[str]) -> None:
    """Fetches the packages into the folder that the command line names, unless they are there."""
    if len(argv) != 2:
        raise app.UsageError(f"got {len(argv) - 1} arguments; name one folder, output/emoji-artists/packages")
    fetch(PACKAGES, argv[1])


def fetch(packages: Sequence[Package], folder: str) -> None:
    """Writes icons.json and info.json of each package into `folder`/ARTIST. The folder appears whole or not at all.

    Raises:
      ValueError: npm is missing or fails, a package is not the pinned one, or the folder holds something else.
    """
    pins = json.dumps([package._asdict() for package in packages], indent=1) + "\n"
    if os.path.exists(folder):
        _require_same(folder, pins)
        print(f"{folder} has the {len(packages)} packages already")
        return
    with files.WholeFolder(folder) as unfinished:
        os.mkdir(unfinished)
        print(f"Fetching {len(packages)} packages with npm", flush=True)
        _pack(packages, unfinished)
        for package in packages:
            _unpack(package, unfinished)
        files.write_text(os.path.join(unfinished, PINS_FILE), pins)
    licences = ", ".join(f"{package.artist} {package.licence}" for package in packages)
    print(f"Fetched {folder}. Licences: {licences}")


def _require_same(folder: str, pins: str) -> None:
    path = os.path.join(folder, PINS_FILE)
    found = ""
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            found = file.read()
    if found != pins:
        raise ValueError(f"{folder} holds other files or other versions; remove it, or name another folder")


def _pack(packages: Sequence[Package], folder: str) -> None:
    """Lets npm write the archive of each package into the folder; there, no package.json of a project counts."""
    names = [f"{_SCOPE}{package.artist}@{package.version}" for package in packages]
    command = ["npm", "pack", "--ignore-scripts", "--silent", "--loglevel=error", *names]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError as error:
        raise ValueError(
            "npm is not on PATH, and the drawings are npm packages; install Node.js (Debian and Ubuntu: "
            "apt-get install npm), then run the same command again"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"npm pack has not ended after {_SECONDS} s; check the network, then run the same command again"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-500:] or f"exit code {done.returncode}"
        raise ValueError(
            f"npm pack failed: {said}; check the network and npm's registry (npm config get registry), then run the "
            "same command again"
        )


def _unpack(package: Package, folder: str) -> None:
    """Takes the two files out of a package's archive, and removes the archive; ValueError unless it is the pinned."""
    name = f"{_SCOPE.strip('@').replace('/', '-')}{package.artist}-{package.version}.tgz"
    path = os.path.join(folder, name)
    with open(path, "rb") as archive:
        digest = hashlib.sha512(archive.read()).digest()
    integrity = f"sha512-{base64.b64encode(digest).decode()}"
    if integrity != package.integrity:
        raise ValueError(
            f"{name} has the hash {integrity}, but must have {package.integrity}; npm's registry sent another file: "
            "check it (npm config get registry)"
        )
    target = os.path.join(folder, package.artist)
    os.mkdir(target)
    with tarfile.open(path) as members:
        for file in _FILES:
            inner = f"package/{file}"
            content = members.extractfile(inner) if inner in members.getnames() else None
            if content is None:
                raise ValueError(f"{name} has no {file}; correct the version of {package.artist}")
            with open(os.path.join(target, file), "wb") as to:
                to.write(content.read())
    with open(os.path.join(target, "info.json"), encoding="utf-8") as info:
        licence = json.load(info)["license"]["spdx"]
    if licence != package.licence:
        raise ValueError(f"{name} has the licence {licence}, but must have {package.licence}; correct the pin")
    os.remove(path)


console = command_line.script(main)

if __name__ == "__main__":
    console()
