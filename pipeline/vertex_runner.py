"""Compiles the pipeline for Vertex AI Pipelines and submits it.

`python -m pipeline.vertex_runner compile --gin_file=gin/quickstart.gin --gin_file=gin/platform/vertex.gin`
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models import files
from models.settings.checks import require
from pipeline.console import command_line
from pipeline.kfp import command
from pipeline.settings.platforms import VertexSettings

if TYPE_CHECKING:
    from pipeline.settings.run import PipelineSettings

_DEFAULT_TIMEOUT_SECONDS = 168 * 3600  # of a job of Vertex AI that sets none


def main(argv: list[str]) -> None:
    """Compiles the pipeline, and submits it if the action is submit."""
    command.run(argv, compile_pipeline, submit, ".json")


def compile_pipeline(
    gin_files: list[str], gin_bindings: list[str], output: str
) -> tuple["PipelineSettings", VertexSettings]:
    """Writes the specification, a PipelineJob; returns the settings of the pipeline and of the platform.

    Raises:
      ValueError: the gin is invalid, or the platform does not support a setting.
    """
    from google.cloud.aiplatform_v1.types import AcceleratorType
    from tfx.extensions.google_cloud_ai_platform.constants import ENABLE_VERTEX_KEY, VERTEX_REGION_KEY
    from tfx.extensions.google_cloud_ai_platform.trainer.executor import TRAINING_ARGS_KEY

    from components.trainer import executor, vertex
    from pipeline.kfp import specification

    settings, where = specification.load(gin_files, gin_bindings, VertexSettings)
    kinds = [one.name for one in AcceleratorType if one.name.startswith("NVIDIA_")]
    require(where.gpu in ("", *kinds), "Vertex.gpu", where.gpu, f"one of {', '.join(kinds)}", "correct it")
    trainer, config = executor.RestartedExecutor, {}
    if where.trainer_waits:
        trainer = vertex.Executor
        job = custom_job(where, settings.name)
        config = {ENABLE_VERTEX_KEY: True, VERTEX_REGION_KEY: where.region, TRAINING_ARGS_KEY: job}
    spec = specification.build(settings, where, trainer, runs_resolvers=True, trainer_config=config)
    files.write_text(output, json.dumps(spec, indent=1, sort_keys=True) + "\n")
    return settings, where


def custom_job(where: VertexSettings, name: str) -> dict[str, Any]:
    """The training arguments from which TFX's client makes a CustomJob of Vertex AI; TFX adds the command."""
    machine: dict[str, Any] = {"machine_type": where.machine}
    if where.topology:
        machine["tpu_topology"] = where.topology
    if where.gpus:
        machine |= {"accelerator_type": where.gpu, "accelerator_count": where.gpus}
    pools = [
        {
            "machine_spec": machine,
            "replica_count": replicas,
            "disk_spec": {"boot_disk_size_gb": where.disk_gb},
            "container_spec": {"image_uri": where.trainer_image or where.image},
        }
        for replicas in (1, where.hosts - 1)  # Vertex AI takes the one replica of the first pool as the chief
        if replicas
    ]
    seconds = where.timeout_seconds("Trainer") or _DEFAULT_TIMEOUT_SECONDS
    scheduling = {"timeout": {"seconds": seconds}, "restart_job_on_worker_restart": True}
    if where.spot:
        scheduling["strategy"] = "SPOT"
    job: dict[str, Any] = {"worker_pool_specs": pools, "scheduling": scheduling}
    for key in ("service_account", "network"):
        if value := getattr(where, key):
            job[key] = value
    return {"project": where.project, "display_name": f"{name}-trainer", "job_spec": job}


def submit(where: VertexSettings, spec: str, parameters: Mapping[str, Any], cron: str) -> str:
    """Starts a run, or a schedule if `cron` is not empty; returns the address to look at."""
    from google.cloud import aiplatform

    aiplatform.init(project=where.project, location=where.region)
    with open(spec, encoding="utf-8") as file:
        name = json.load(file)["pipelineSpec"]["pipelineInfo"]["name"]
    job = aiplatform.PipelineJob(
        display_name=name, template_path=spec, pipeline_root=where.root, parameter_values=dict(parameters)
    )
    account, network = where.service_account or None, where.network or None
    page = f"https://console.cloud.google.com/vertex-ai/pipelines?project={where.project}"
    if cron:
        schedule = job.create_schedule(
            display_name=name, cron=cron, max_concurrent_run_count=1, service_account=account, network=network
        )
        return f"{schedule.resource_name}, see {page}"
    job.submit(service_account=account, network=network)
    return f"{job.resource_name}, see {page}"


console = command_line.script(main, "gin_file")

if __name__ == "__main__":
    console()
