"""What the metadata store of this machine knows of the executions of components."""

from collections.abc import Iterable

import ml_metadata
from ml_metadata.proto import metadata_store_pb2
from tfx.types.channel import Channel

_DONE = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


def outputs_of_newest(
    store: ml_metadata.MetadataStore, executions: Iterable[metadata_store_pb2.Execution]
) -> dict[str, str]:
    """{output: folder of its artifact} of the newest execution.

    Raises:
      LookupError: there is none, or it has not finished.
    """
    last = max(executions, key=lambda one: one.id, default=None)
    if last is None or last.last_known_state not in _DONE:
        raise LookupError("no execution of the component has finished")
    events = store.get_events_by_execution_ids([last.id])
    keys = {
        event.artifact_id: event.path.steps[0].key for event in events if event.type == metadata_store_pb2.Event.OUTPUT
    }
    return {keys[artifact.id]: str(artifact.uri) for artifact in store.get_artifacts_by_id(list(keys))}


def output(store: ml_metadata.MetadataStore, pipeline: str, channel: Channel) -> str:
    """Folder of the artifact that the newest execution of a component has written, or taken from cache.

    Args:
      store: the metadata store.
      pipeline: name of the pipeline.
      channel: an output of one of its components.

    Raises:
      LookupError: the component has not run.
    """
    node = store.get_context_by_type_and_name("node", f"{pipeline}.{channel.producer_component_id}")
    executions = store.get_executions_by_context(node.id) if node else []
    return outputs_of_newest(store, executions)[channel.output_key]
