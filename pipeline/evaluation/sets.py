"""Builds each evaluation set in a folder of its own, with the data plane of EvaluationSuite."""

import json
import os
from collections.abc import Sequence
from typing import Any

import apache_beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from beam import reader, store
from beam.evaluation_sets import (
    CLASSES_FILE,
    SEVERAL_CLASSES_FILE,
    EvaluationSetSettings,
    EvaluationSuiteSettings,
    WriteEvaluationSets,
)
from components.evaluation_suite.driver import suite_fingerprint
from models import features, files
from models.settings import configuration
from models.settings.checks import require

_EXAMPLES, _REPORT = "examples", "report"
_GIN_FILE = "config.gin"


def chosen(sets: Sequence[EvaluationSetSettings], examples: str) -> tuple[EvaluationSetSettings, ...]:
    """The sets to evaluate; those that are the eval split only if --examples names it.

    Raises:
      ValueError: there is no set; or --examples is "", and a set or the one that its probes are fitted on is the eval
        split.
    """
    own = [one for one in sets if not one.source and not one.examples]
    left = tuple(one for one in sets if examples or one not in own)
    if strange := [one.name for one in own if not examples and one.name != features.OWN_SET]:
        raise ValueError(
            f"EvaluationSet {strange[0]!r} has neither source nor examples, so it is the eval split of a run; add "
            "--examples=output/NAME/artifacts/Deduper/processed/N, or set one of them"
        )
    for one in left:
        if one.fitted_on and one.fitted_on not in {other.name for other in left}:  # it is the eval split
            raise ValueError(
                f"EvaluationSet {one.name!r} has fitted_on {one.fitted_on!r}, which is not evaluated; add --examples"
            )
    rule, fix = "a set or more", "add --gin_file=gin/evaluation/NAME.gin, or --examples of a run for its eval split"
    require(bool(left), "Pipeline.evaluation_sets", sets[1:], rule, fix)
    return left


def build(one: EvaluationSetSettings, examples: str, folder: str, beam_args: Sequence[str]) -> None:
    """Writes a set into `folder`, whole or not at all, unless an earlier run has written the same.

    Args:
      one: the set.
      examples: folder of the Examples artifact whose split eval is the set "eval"; "" if the set does not need it.
      folder: a folder of its own for this set.
      beam_args: flags of Beam.

    Raises:
      NoRows: the set has no row left.
      ValueError: an input is missing.
    """
    own = (
        os.path.join(examples, f"Split-{features.OWN_SET}") if examples and not one.source and not one.examples else ""
    )
    state = [reader.shard_state(path) for path in reader.shards(own)] if own else []
    suite = EvaluationSuiteSettings((one,))
    gin = configuration.to_gin(suite)
    described = "\n".join([f"# Of input {suite_fingerprint(gin)}", *(f"# {one}" for one in state), gin])
    if _is_built(folder, described):
        print(f"{one.name} lies in {folder} already", flush=True)
        return
    if os.path.exists(folder):
        tf.io.gfile.rmtree(folder)
    with files.WholeFolder(folder) as unfinished:
        report = os.path.join(unfinished, _REPORT)
        with apache_beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            pipeline | "Sets" >> WriteEvaluationSets(suite, own, os.path.join(unfinished, _EXAMPLES), report)
        store.require_rows(os.path.join(report, one.name), one.origin(own))
        files.write_text(os.path.join(unfinished, _GIN_FILE), described)


def split(folder: str, name: str) -> str:
    """The folder of the shards of a set that `build` wrote into `folder`."""
    return os.path.join(folder, _EXAMPLES, f"Split-{name}")


def classes(folder: str, name: str) -> list[str]:
    """The classes of a set that `build` wrote."""
    found: list[str] = _read_json(folder, CLASSES_FILE)[name]
    return found


def has_several_classes(folder: str, name: str) -> bool:
    """Whether a row of a set that `build` wrote has several right classes."""
    return name in _read_json(folder, SEVERAL_CLASSES_FILE)


def manifest(folder: str, name: str) -> dict[str, int]:
    """The counts of rows of a set, as `beam.store` writes them."""
    counts: dict[str, int] = _read_json(folder, os.path.join(name, store.MANIFEST_FILE))
    return counts


def _read_json(folder: str, name: str) -> Any:
    with open(os.path.join(folder, _REPORT, name), encoding="utf-8") as file:
        return json.load(file)


def _is_built(folder: str, described: str) -> bool:
    if not os.path.exists(os.path.join(folder, _REPORT, SEVERAL_CLASSES_FILE)):  # not there, or of an older version
        return False
    try:
        with open(os.path.join(folder, _GIN_FILE), encoding="utf-8") as file:
            return file.read() == described
    except FileNotFoundError:
        return False
