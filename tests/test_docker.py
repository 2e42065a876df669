"""The Dockerfiles are well formed, and the packages that they install resolve; no Docker runs here."""

import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from components import installed

ROOT = pathlib.Path(__file__).parents[1]
BIN = pathlib.Path(sys.executable).parent
DOCKERFILES = ("Dockerfile", "Dockerfile.tpu")
LOCKS = {
    "Dockerfile": ["tfx-1.16.txt"],
    "Dockerfile.tpu": ["tfx-1.16-tpu.txt", "--override", "tfx-1.16-tpu-overrides.txt"],
}


def lint(path: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run([BIN / "hadolint", path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name):
    done = lint(ROOT / "docker" / name)
    assert done.returncode == 0, done.stdout


def test_control_hadolint_finds_mistakes(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN apt-get install g++ && pip install tfx\n")
    assert {"DL3006", "DL3008", "DL3013"} <= set(re.findall(r"DL\d+", lint(tmp_path / "Dockerfile").stdout))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_installs_an_existing_lock_that_has_uv(name):
    text = (ROOT / "docker" / name).read_text()
    (lock,) = set(re.findall(r"requirements/([\w.-]+\.txt)", text))
    assert lock == LOCKS[name][0]
    assert re.search(r"^uv==[0-9.]+", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    assert re.search(r"^RUN (TPU_SKIP_MDS_QUERY=1 )?python -m components.installed$", text, re.MULTILINE)


def test_the_tpu_image_has_one_tensorflow_and_its_libtpu():
    lock = (ROOT / "requirements" / "tfx-1.16-tpu.txt").read_text()
    assert not re.search(r"^tensorflow==", lock, re.MULTILINE)
    tensorflow, text, keras = (
        re.search(rf"^{name}==(\d+\.\d+)", lock, re.MULTILINE).group(1)
        for name in ("tensorflow-tpu", "tensorflow-text", "tf-keras")
    )
    assert tensorflow == text == keras
    assert re.search(r"^libtpu==[\d.]+ +# via tensorflow-tpu$", lock, re.MULTILINE)


def test_cloud_build_builds_both():
    steps = yaml.safe_load((ROOT / "docker" / "cloudbuild.yaml").read_text())["steps"]
    found = {arg.split("=", 1)[1] for step in steps for arg in step["args"] if arg.startswith("--dockerfile=")}
    assert found == {f"docker/{name}" for name in DOCKERFILES}


def test_build_prints_its_usage(tmp_path):
    done = subprocess.run([ROOT / "docker" / "build.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: docker/build.sh REGISTRY" in done.stderr


def test_installed_versions_are_printed_and_a_failed_import_is_an_error(monkeypatch, capsys):
    installed.main()
    assert re.search(r"^tfx \d", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.setattr(installed, "_ENTRIES", ("components.no_such",))
    with pytest.raises(ImportError):
        installed.main()


def resolve(*requirements: str) -> subprocess.CompletedProcess:
    command = [BIN / "uv", "pip", "compile", "--quiet", "--python-version", "3.10", "--python-platform", "linux"]
    words = [str(ROOT / "requirements" / one) if one.endswith(".txt") else one for one in requirements]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_lock_of_an_image_resolves(name, tmp_path):
    done = resolve(*LOCKS[name])
    assert done.returncode == 0, done.stderr
    control = tmp_path / "control.txt"
    control.write_text("numpy==2.2.6\n")
    assert resolve(*LOCKS[name], str(control)).returncode != 0
