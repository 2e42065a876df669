"""Compiles the pipeline for a platform, for tests of the specification."""

import json
import pathlib
from typing import Any

import yaml

from pipeline import kubeflow_runner, vertex_runner
from tests.pipeline.conftest import ROOT

QUICKSTART = str(ROOT / "gin" / "quickstart.gin")


def gin(platform: str, *more: str) -> list[str]:
    """Returns the gin files of the quickstart on a platform."""
    return [QUICKSTART, str(ROOT / "gin" / "platform" / f"{platform}.gin"), *(str(ROOT / "gin" / one) for one in more)]


def vertex(folder: pathlib.Path, *bindings: str, files: list[str] | None = None) -> dict[str, Any]:
    """Returns the PipelineJob."""
    path = folder / "pipeline.json"
    vertex_runner.compile_pipeline(files or gin("vertex"), list(bindings), str(path))
    return json.loads(path.read_text())


def kubeflow(folder: pathlib.Path, *bindings: str, files: list[str] | None = None) -> list[dict[str, Any]]:
    """Returns the documents: the specification, and the one with node selectors if there is one."""
    path = folder / "pipeline.yaml"
    kubeflow_runner.compile_pipeline(files or gin("kubeflow"), list(bindings), str(path))
    return list(yaml.safe_load_all(path.read_text()))
