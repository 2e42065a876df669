"""Runs a DAG, or a part of one, by TFX's local runner."""

from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline

from pipeline.console import terminal


def run(dag: Pipeline, log_file: str) -> dict[str, float]:
    """Runs the components, prints a line for each, and returns {component: seconds}. The whole log goes to `log_file`.

    Raises:
      ComponentFailed: a component raised an exception; the next run takes the components before it from cache.
    """
    components = [component.id for component in dag.components]
    with terminal.watch(components, log_file) as lines:
        try:
            LocalDagRunner().run(dag)
        except Exception as error:
            raise terminal.ComponentFailed(lines.running, error, log_file) from error
    return lines.seconds
