"""What a run came to, as lines for a terminal; read from the RunReport artifact."""

import os
from collections.abc import Mapping
from typing import Any

import ml_metadata
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from components.artifacts import RunReport


def dag_text(dag: tfx.dsl.Pipeline) -> str:
    """One line a component, in the order they run, with what each waits for."""
    width = max(len(component.id) for component in dag.components)
    lines = [f"Pipeline {dag.pipeline_info.pipeline_name}:"]
    for component in dag.components:
        waits = ", ".join(sorted(node.id for node in component.upstream_nodes))
        lines.append(f"  {component.id:<{width}}  {'<- ' + waits if waits else ''}".rstrip())
    return "\n".join(lines)


def latest_report(metadata: metadata_store_pb2.ConnectionConfig) -> str:
    """Folder of the newest RunReport in a metadata store.

    Raises:
      LookupError: there is none.
    """
    store = ml_metadata.MetadataStore(metadata)
    live = [
        artifact
        for artifact in store.get_artifacts_by_type(RunReport.TYPE_NAME)
        if artifact.state == metadata_store_pb2.Artifact.LIVE
    ]
    if not live:
        raise LookupError("the metadata store knows no report; run the pipeline first")
    return str(max(live, key=lambda artifact: artifact.id).uri)


def outcome_text(facts: Mapping[str, Any], report: str, seconds: Mapping[str, float]) -> str:
    """The gate, the metrics, the timings, where things are, and the command to type next."""
    test, rows = facts["test"], facts["ingest"]
    lines = ["", f"{'metric':<28}{'test':>8}{'eval':>8}{'chance':>8}{'gate':>8}"]
    for line in facts["gate"]:
        name = line["metric"]
        values = (test["metrics"][name], line["value"], line["chance"], line["min_value"])
        shown = "".join(f"{'' if value is None else format(value, '.3f'):>8}" for value in values)
        lines.append(f"{name.replace('_', ' '):<28}{shown}".rstrip())
    dropped = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in rows["dropped"].items()) or "none"
    lines += ["", f"Rows: {rows['read']:,} read, {rows['written']:,} kept, dropped: {dropped}."]
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
        lines += ["Next:   open the report; a model that learns too little may need more Training.steps or more data"]
    return "\n".join(lines)
