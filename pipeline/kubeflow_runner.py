"""Compiles the pipeline for Kubeflow Pipelines 2 and submits it.

`python -m pipeline.kubeflow_runner compile --gin_file=gin/quickstart.gin --gin_file=gin/platform/kubeflow.gin`
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from models import files
from pipeline.console import command_line
from pipeline.kfp import command
from pipeline.settings.machines import TPU_MACHINES
from pipeline.settings.platforms import KubeflowSettings

if TYPE_CHECKING:
    from pipeline.settings.run import PipelineSettings


def main(argv: list[str]) -> None:
    """Compiles the pipeline, and submits it if the action is submit."""
    command.run(argv, compile_pipeline, submit, ".yaml")


def compile_pipeline(
    gin_files: list[str], gin_bindings: list[str], output: str
) -> tuple["PipelineSettings", KubeflowSettings]:
    """Writes the specification, and a second document with the node selectors of pods if there are any.

    Returns:
      The settings of the pipeline and of the platform.

    Raises:
      ValueError: the gin is invalid, or the platform does not support a setting.
    """
    from components.trainer.executor import RestartedExecutor
    from pipeline.kfp import specification

    settings, where = specification.load(gin_files, gin_bindings, KubeflowSettings)
    spec = specification.build(settings, where, RestartedExecutor, runs_resolvers=False)["pipelineSpec"]
    labels = _node_labels(where)
    documents = [spec]
    if labels:
        accelerator = {"type": "google.com/tpu" if where.topology else "nvidia.com/gpu", "count": str(_devices(where))}
        executor = spec["root"] and spec["components"]["Trainer"]["executorLabel"]
        spec["deploymentSpec"]["executors"][executor]["container"]["resources"]["accelerator"] = accelerator
        pods = {executor: {"nodeSelector": {"labels": labels}}}
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": pods}}}})
    files.write_text(output, yaml.safe_dump_all(documents, sort_keys=True))
    return settings, where


def submit(where: KubeflowSettings, spec: str, parameters: Mapping[str, Any], cron: str) -> str:
    """Starts a run, or a schedule if `cron` is not empty; returns the address to look at."""
    import kfp

    client = kfp.Client(host=where.host, namespace=where.namespace or "kubeflow")
    experiment = client.create_experiment(where.experiment, namespace=where.namespace or None)
    account = where.service_account or None
    if cron:
        job = client.create_recurring_run(
            experiment.experiment_id,
            where.experiment,
            cron_expression=f"0 {cron}",  # the first field of Kubeflow's cron is seconds
            params=dict(parameters),
            pipeline_package_path=spec,
            pipeline_root=where.root,
            no_catchup=True,
            service_account=account,
        )
        return f"{where.host}/#/recurringrun/details/{job.recurring_run_id}"
    run = client.create_run_from_pipeline_package(
        spec,
        arguments=dict(parameters),
        experiment_id=experiment.experiment_id,
        pipeline_root=where.root,
        service_account=account,
    )
    return f"{where.host}/#/runs/details/{run.run_id}"


console = command_line.script(main, "gin_file")


def _devices(where: KubeflowSettings) -> int:
    return TPU_MACHINES[where.machine].chips if where.topology else where.gpus


def _node_labels(where: KubeflowSettings) -> dict[str, str]:
    """The labels that GKE gives to the nodes that the Trainer's pod may run on."""
    labels = {}
    if where.topology:
        labels["cloud.google.com/gke-tpu-accelerator"] = TPU_MACHINES[where.machine].gke
        labels["cloud.google.com/gke-tpu-topology"] = where.topology
    if where.gpus:
        labels["cloud.google.com/gke-accelerator"] = where.gpu
    if where.spot:
        labels["cloud.google.com/gke-spot"] = "true"
    return labels


if __name__ == "__main__":
    console()
