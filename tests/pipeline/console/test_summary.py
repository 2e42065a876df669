"""The summary shows the report of the last run, never an older one."""

import ml_metadata
import pytest
from ml_metadata.proto import metadata_store_pb2

from components.artifacts import RunReport
from pipeline import platform
from pipeline.console import summary

COMPLETE, CACHED, FAILED = (getattr(metadata_store_pb2.Execution, state) for state in ("COMPLETE", "CACHED", "FAILED"))


@pytest.fixture
def metadata(tmp_path) -> metadata_store_pb2.ConnectionConfig:
    connection = platform.ThisMachine(str(tmp_path)).locations.metadata
    assert connection is not None
    store = ml_metadata.MetadataStore(connection)
    store.put_execution_type(metadata_store_pb2.ExecutionType(name=summary._REPORT_EXECUTION))
    store.put_artifact_type(metadata_store_pb2.ArtifactType(name=RunReport.TYPE_NAME))
    return connection


def add_run(connection: metadata_store_pb2.ConnectionConfig, state: int, uri: str = "") -> None:
    store = ml_metadata.MetadataStore(connection)
    execution = metadata_store_pb2.Execution(
        type_id=store.get_execution_type(summary._REPORT_EXECUTION).id, last_known_state=state
    )
    written = []
    if uri:
        artifact = metadata_store_pb2.Artifact(type_id=store.get_artifact_type(RunReport.TYPE_NAME).id, uri=uri)
        event = metadata_store_pb2.Event(type=metadata_store_pb2.Event.OUTPUT)
        event.path.steps.add().key = "report"  # as TFX writes it
        event.path.steps.add().index = 0
        written = [(artifact, event)]
    store.put_execution(execution, written, [])


def test_report_of_the_last_run_is_shown_also_from_cache(metadata):
    add_run(metadata, COMPLETE, "first")
    add_run(metadata, COMPLETE, "second")
    assert summary.latest_report(metadata) == "second"
    add_run(metadata, CACHED, "first")
    assert summary.latest_report(metadata) == "first"


@pytest.mark.parametrize("before", [0, 1])
def test_run_without_a_report_shows_no_older_report(metadata, before):
    for _ in range(before):
        add_run(metadata, COMPLETE, "older")
    add_run(metadata, FAILED)
    with pytest.raises(LookupError, match="name another one"):
        summary.latest_report(metadata)


def test_execution_type_is_the_class_path_of_the_component():
    from components.run_report.component import RunReport as Component

    assert f"{Component.__module__}.{Component.__name__}" == summary._REPORT_EXECUTION
