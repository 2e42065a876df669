"""The bytes of specifications: equal in another process, compiled without network, free of local paths."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

from tests.pipeline.conftest import ROOT
from tests.pipeline.kfp import compiled

FEW = ("vertex_tpu_v5e", "kubeflow")
MORE = ("vertex", "vertex_gpu", "kubeflow_tpu_v5e", "kubeflow_gpu")
PLATFORMS = [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
OFFLINE = ("unshare", "-rn")
COMPILE = "import pathlib, sys; from tests.pipeline.kfp import test_bytes as t; t.write(pathlib.Path(sys.argv[1]), *sys.argv[2:])"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5)"
LEAK = re.compile(
    rf"{re.escape(str(ROOT))}|/home/|/root/|/tmp/|{re.escape(os.uname().nodename)}"
    r"|(?i:password|secret|token['\"]?\s*[:=])|BEGIN [A-Z ]*PRIVATE KEY"
)


def write(folder: pathlib.Path, *platforms: str) -> None:
    """Writes the specification of each platform into a folder of its own."""
    for platform in platforms:
        (folder / platform).mkdir(parents=True)
        compile_ = compiled.vertex if platform.startswith("vertex") else compiled.kubeflow
        compile_(folder / platform, files=compiled.gin(platform))


def read_all(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/pipeline.*")}


class Specifications(dict[str, bytes]):
    """Compiles the specification of a platform when it is first asked for."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, platform: str) -> bytes:
        write(self._folder, platform)
        self.update(read_all(self._folder))
        return self[platform]


@pytest.fixture(scope="module")
def specifications(tmp_path_factory) -> Specifications:
    return Specifications(tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def offline():
    """The prefix that runs a command without network; empty if this system forbids it."""
    works = subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode == 0
    return OFFLINE if works else ()


@pytest.fixture(scope="module", params=[FEW, pytest.param(MORE, marks=pytest.mark.slow)], ids=["few", "more"])
def again(request, tmp_path_factory, offline):
    """Specifications of another process: no credentials, another hash seed, and no network if possible."""
    folder = tmp_path_factory.mktemp("again")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [*offline, sys.executable, "-c", COMPILE, str(folder), *request.param]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    made = read_all(folder)
    assert set(made) == set(request.param)
    return made


def test_another_process_without_credentials_compiles_the_same_bytes(specifications, again):
    assert again == {platform: specifications[platform] for platform in again}


def test_compiling_needs_no_network(again, offline):
    if not offline:
        pytest.skip("`unshare -rn` does not work here, so the process had a network")
    assert again
    # Control: a process without network does not reach a server on this machine.
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = [sys.executable, "-c", CONNECT, str(server.getsockname()[1])]
        assert subprocess.run(connect, check=False, capture_output=True).returncode == 0
        assert b"unreachable" in subprocess.run([*offline, *connect], check=False, capture_output=True).stderr


@pytest.mark.parametrize("platform", PLATFORMS)
def test_specification_has_no_local_path_no_secret_and_fits_a_workflow(specifications, platform):
    assert not LEAK.search(specifications[platform].decode())
    assert len(specifications[platform]) < 1_000_000


def test_a_specification_holds_the_settings(specifications):
    assert (
        "Siglip.logit_bias = -10.0"
        in json.loads(specifications["vertex_tpu_v5e"])["pipelineSpec"]["root"]["dag"]["tasks"]["Trainer"]["inputs"][
            "parameters"
        ]["custom_config"]["runtimeValue"]["constant"]
    )


@pytest.mark.parametrize("planted", [f"{ROOT}/pairs.jsonl", "/tmp/x", "https://me:token=abc@h", "PASSWORD: x"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_control_planted_leak_is_found(specifications, platform, planted):
    text = specifications[platform].decode()
    assert LEAK.search(text.replace("--runner=FnApiRunner", planted, 1))
