"""Publishes a model that the gate blocked, and records in the metadata who published it and why."""

import getpass
import os

import ml_metadata
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable.mlmd import event_lib
from tfx.utils import path_utils

from models import locks
from pipeline import platform
from pipeline.publishing import versions

_EXECUTION = "siglip_tfx.ManualBlessing"
_PACKAGER = "components.model_packager.component.ModelPackager"
_LOCK_FILE = ".overriding"
_EVENT = metadata_store_pb2.Event
_CONTEXTS = ("pipeline", "pipeline_run")


def publish_blocked(pipeline_dir: str, reason: str) -> str:
    """Blesses the newest packaged model by hand and publishes it.

    The metadata get an execution of type siglip_tfx.ManualBlessing with user and reason, and the ModelBlessing that it
    made. From then on the resolver returns this model as the last blessed one.

    Returns:
      The folder of the new version.

    Raises:
      ValueError: there is no pipeline or no model, or the model is blessed already or failed InfraValidator.
      NotPublished: a file cannot be read or written.
    """
    locations = platform.ThisMachine(pipeline_dir).locations
    if not os.path.isfile(os.path.join(pipeline_dir, platform.METADATA_FILE)):
        raise ValueError(f"--pipeline_dir={pipeline_dir} holds no {platform.METADATA_FILE}; name output/NAME of a run")
    with locks.hold(os.path.join(pipeline_dir, _LOCK_FILE)):  # two people may override at the same time
        return _publish(pipeline_dir, locations, reason)


def _publish(pipeline_dir: str, locations: platform.Locations, reason: str) -> str:
    store = ml_metadata.MetadataStore(locations.metadata)
    model = _newest_model(store, pipeline_dir)
    blessings = [one for one in store.get_artifacts_by_type("ModelBlessing") if _is_of(one, model)]
    if not blessings:
        raise ValueError(f"the newest model, {model.uri}, was not evaluated; run the pipeline to its end first")
    if any(one.custom_properties["blessed"].int_value == 1 for one in blessings):
        raise ValueError(f"the newest model, {model.uri}, is blessed already; it is in {locations.serving}")
    _require_served(store, model)

    user = getpass.getuser()
    # The contexts of the cache are left out: they list the outputs of the packager, and the blessing is not one.
    kinds = {kind.id: kind.name for kind in store.get_context_types()}
    contexts = [one for one in store.get_contexts_by_artifact(model.id) if kinds[one.type_id] in _CONTEXTS]
    used = event_lib.generate_event(_EVENT.INPUT, "model", 0, model.id)
    execution = _execution(store, reason, user)
    # Before publishing, so that a failure leaves a trace.
    execution.id, _, _ = store.put_execution(execution, [(model, used)], contexts)
    path = versions.publish(
        path_utils.serving_model_path(model.uri), locations.serving, {"override": reason, "user": user}
    )
    execution.last_known_state = metadata_store_pb2.Execution.COMPLETE
    blessing = _blessing(store, model, reason, user)
    tf.io.gfile.makedirs(blessing.uri)
    made = event_lib.generate_event(_EVENT.OUTPUT, "blessing", 0)
    store.put_execution(execution, [(blessing, made)], contexts)
    return path


def _execution(store: ml_metadata.MetadataStore, reason: str, user: str) -> metadata_store_pb2.Execution:
    properties = {"reason": metadata_store_pb2.STRING, "user": metadata_store_pb2.STRING}
    kind = store.put_execution_type(metadata_store_pb2.ExecutionType(name=_EXECUTION, properties=properties))
    execution = metadata_store_pb2.Execution(type_id=kind, last_known_state=metadata_store_pb2.Execution.RUNNING)
    execution.properties["reason"].string_value = reason
    execution.properties["user"].string_value = user
    return execution


def _newest_model(store: ml_metadata.MetadataStore, pipeline_dir: str) -> metadata_store_pb2.Artifact:
    executions = store.get_executions_by_type(_PACKAGER)
    events = store.get_events_by_execution_ids([one.id for one in executions]) if executions else []
    made = [event.artifact_id for event in events if event.type == _EVENT.OUTPUT]
    if not made:
        raise ValueError(f"{pipeline_dir} has no model yet; run the pipeline first")
    (model,) = store.get_artifacts_by_id([max(made)])
    return model


def _is_of(blessing: metadata_store_pb2.Artifact, model: metadata_store_pb2.Artifact) -> bool:
    return blessing.custom_properties["current_model_id"].int_value == model.id


def _require_served(store: ml_metadata.MetadataStore, model: metadata_store_pb2.Artifact) -> None:
    """Raises ValueError unless InfraValidator blessed the model: a model that cannot be served is never published."""
    checks = []
    used_by = {event.execution_id for event in store.get_events_by_artifact_ids([model.id])}
    for blessing in store.get_artifacts_by_type("InfraBlessing"):
        made_by = {event.execution_id for event in store.get_events_by_artifact_ids([blessing.id])}
        if made_by & used_by:
            checks.append(blessing)
    newest = max(checks, key=lambda one: one.id, default=None)
    if newest is None or newest.custom_properties["blessed"].int_value != 1:
        raise ValueError(f"{model.uri} was not blessed by InfraValidator, so it may not be served; see the report")


def _blessing(
    store: ml_metadata.MetadataStore, model: metadata_store_pb2.Artifact, reason: str, user: str
) -> metadata_store_pb2.Artifact:
    blessing = metadata_store_pb2.Artifact(
        type_id=store.get_artifact_type("ModelBlessing").id,
        uri=os.path.join(model.uri, "blessed_by_hand"),
        state=metadata_store_pb2.Artifact.LIVE,
    )
    blessing.custom_properties["blessed"].int_value = 1
    blessing.custom_properties["current_model_id"].int_value = model.id
    blessing.custom_properties["current_model"].string_value = model.uri
    blessing.custom_properties["override_reason"].string_value = reason
    blessing.custom_properties["override_user"].string_value = user
    return blessing
