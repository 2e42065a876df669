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

PLATFORMS = ("vertex", "vertex_tpu_v5e", "vertex_gpu", "kubeflow", "kubeflow_tpu_v5e", "kubeflow_gpu")
OFFLINE = ("unshare", "-rn")
COMPILE = "import pathlib, sys; from tests.pipeline.kfp import test_bytes as t; t.write_all(pathlib.Path(sys.argv[1]))"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5)"
LEAK = re.compile(
    rf"{re.escape(str(ROOT))}|/home/|/root/|/tmp/|{re.escape(os.uname().nodename)}"
    r"|(?i:password|secret|token['\"]?\s*[:=])|BEGIN [A-Z ]*PRIVATE KEY"
)


def write_all(folder: pathlib.Path) -> None:
    """Writes the specification of each platform into a folder of its own."""
    for platform in PLATFORMS:
        (folder / platform).mkdir(parents=True)
        compile_ = compiled.vertex if platform.startswith("vertex") else compiled.kubeflow
        compile_(folder / platform, files=compiled.gin(platform))


def read_all(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/pipeline.*")}


@pytest.fixture(scope="module")
def specifications(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    write_all(folder)
    return read_all(folder)


@pytest.fixture(scope="module")
def offline():
    """The prefix that runs a command without network; empty if this system forbids it."""
    works = subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode == 0
    return OFFLINE if works else ()


@pytest.fixture(scope="module")
def again(tmp_path_factory, offline):
    """Specifications of another process: no credentials, another hash seed, and no network if possible."""
    folder = tmp_path_factory.mktemp("again")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [*offline, sys.executable, "-c", COMPILE, str(folder)]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return read_all(folder)


def test_another_process_without_credentials_compiles_the_same_bytes(specifications, again):
    assert set(again) == set(PLATFORMS)
    assert again == specifications


def test_compiling_needs_no_network(again, offline):
    if not offline:
        pytest.skip("`unshare -rn` does not work here, so the process had a network")
    assert set(again) == set(PLATFORMS)
    # Control: a process without network does not reach a server on this machine.
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = [sys.executable, "-c", CONNECT, str(server.getsockname()[1])]
        assert subprocess.run(connect, check=False, capture_output=True).returncode == 0
        assert b"unreachable" in subprocess.run([*offline, *connect], check=False, capture_output=True).stderr


def test_specification_has_no_local_path_no_secret_and_fits_a_workflow(specifications):
    for platform, content in specifications.items():
        assert not LEAK.search(content.decode()), platform
        assert len(content) < 1_000_000
    assert (
        "Siglip.logit_bias = -10.0"
        in json.loads(specifications["vertex"])["pipelineSpec"]["root"]["dag"]["tasks"]["Trainer"]["inputs"][
            "parameters"
        ]["custom_config"]["runtimeValue"]["constant"]
    )


@pytest.mark.parametrize("planted", [f"{ROOT}/pairs.jsonl", "/tmp/x", "https://me:token=abc@h", "PASSWORD: x"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_control_planted_leak_is_found(specifications, platform, planted):
    text = specifications[platform].decode()
    assert LEAK.search(text.replace("--runner=FnApiRunner", planted, 1))
