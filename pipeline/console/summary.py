"""The outcome of a run as lines for a terminal, read from the RunReport artifact."""

import os
from collections.abc import Mapping
from typing import Any

import ml_metadata
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.pipeline import Pipeline

from models import features
from pipeline import executions

_REPORT_EXECUTION = "components.run_report.component.RunReport"


def dag_text(dag: Pipeline) -> str:
    """One line for each component, in the order they run, with the components that it waits for."""
    width = max(len(component.id) for component in dag.components)
    lines = [f"Pipeline {dag.pipeline_info.pipeline_name}:"]
    for component in dag.components:
        waits = ", ".join(sorted(node.id for node in component.upstream_nodes))
        lines.append(f"  {component.id:<{width}}  {'<- ' + waits if waits else ''}".rstrip())
    return "\n".join(lines)


def latest_report(metadata: metadata_store_pb2.ConnectionConfig) -> str:
    """Folder of the report that the last run has written, or taken from cache.

    Raises:
      LookupError: there is none, as RunReport has not run or found its inputs missing (TFX only logs that).
    """
    store = ml_metadata.MetadataStore(metadata)
    try:
        return executions.outputs_of_newest(store, store.get_executions_by_type(_REPORT_EXECUTION))["report"]
    except LookupError as error:
        raise LookupError(
            "RunReport found no input to report on. If another version of this code made --output_dir, name another "
            "one; otherwise the log says what is missing"
        ) from error


def outcome_text(facts: Mapping[str, Any], report: str, seconds: Mapping[str, float]) -> str:
    """The gate's decision, the metrics, the timings, the paths of the outputs, and the next command to run."""
    test, rows = facts["test"], facts["image_text_gen"]
    names = [_name(line) for line in facts["gate"]]
    width = 2 + max(map(len, ["metric", *names]))
    lines = ["", f"{'metric':<{width}}{'test':>7}{'eval':>7}{'interval':>15}{'chance':>8}{'gate':>7}"]
    for name, line in zip(names, facts["gate"], strict=True):
        own = line["place"] == features.OWN_SET
        interval = f"{line['low']:.3f}-{line['high']:.3f}" if line["low"] is not None else ""
        shown = [_number(test["metrics"][line["metric"]]) if own else "", _number(line["value"])]
        limit = line["min_value"] if line["max_value"] is None else line["max_value"]
        rest = [_number(line["chance"]), _number(limit)]
        lines.append(f"{name:<{width}}{shown[0]:>7}{shown[1]:>7}{interval:>15}{rest[0]:>8}{rest[1]:>7}".rstrip())
    dropped = f"{_reasons(rows['dropped'])}{_rejects(facts, 'image_text_gen')}{_skipped(rows)}"
    lines += ["", f"Rows: {rows['read']:,} read, {rows['written']:,} kept, dropped: {dropped}."]
    if facts["dedupe"]:
        dropped = f"{_reasons(facts['dedupe']['dropped'])}{_rejects(facts, 'dedupe')}"
        lines.append(f"Deduper: {facts['dedupe']['written']:,} kept, dropped: {dropped}.")
    if facts["augment"]:
        before = (facts["dedupe"] or rows)["written"]
        lines.append(f"Augmenter: {facts['augment']['written'] - before:,} variants for training.")
    lines.append("Seconds: " + ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items()))
    page = os.path.join(report, "report.html")
    lines += ["", f"Report: {page}"]
    if facts["pushed"]:
        lines += [
            f"Gate:   BLESSED. Pushed model: {facts['pushed']}",
            "Next:   python -m pipeline.zero_shot --model_dir "
            f"{facts['pushed']} --image PICTURE.png --labels 'cat,dog,pizza'",
        ]
    else:
        lines += ["Gate:   NOT BLESSED, nothing was pushed:", *(f"          {reason}" for reason in facts["failures"])]
        lines += ["Next:   open the report; a model with low metrics may need more Training.steps or more data"]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else format(value, ".3f")


def _rejects(facts: Mapping[str, Any], part: str) -> str:
    """Where each dropped row is listed with its reason; "" if no row was dropped."""
    return f"; each in {facts['reject_folders'][part]}/rejects-*.jsonl" if facts[part]["dropped"] else ""


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items()) or "none"


def _skipped(manifest: Mapping[str, Any]) -> str:
    skipped = manifest.get("skipped")
    return f"; skipped: {_reasons(skipped)}" if skipped else ""


def _name(line: Mapping[str, Any]) -> str:
    """The name of a metric, with its evaluation set if that is not the run's own split."""
    place = "" if line["place"] == features.OWN_SET else f": {line['place']}"
    return line["metric"].replace("_", " ") + place
