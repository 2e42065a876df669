"""The Trainer's command as Kubeflow Pipelines run it, on shards that it writes."""

import pathlib
import shutil
import subprocess

import numpy as np
from tfx.types import standard_artifacts

from components.artifacts import Vocabulary
from models.pretrained import saved_model
from tests.models.training.shapes import EXAMPLES, write_shards
from tests.pipeline import checkpoints
from tests.pipeline.conftest import GIN, ROOT
from tests.pipeline.kfp import compiled
from tests.pipeline.kfp.launcher import BUCKET, Launcher

# Every step reads all rows, in any order; a large epsilon keeps Adam from amplifying rounding errors.
TINY = (
    "JsonlSource.path = 'gs://b/x.jsonl'", "ImageTower.width = 64", "ImageTower.depth = 1", "ImageTower.mlp_dim = 64",
    "TextTower.length = 12", "TextTower.width = 64", "TextTower.mlp_dim = 64", "AdamW.epsilon = 1e-3",
    "Schedule.warmup_steps = 0", "Training.batch_size = 96", "Training.logging = @Logging()",
    "Logging.held_out_every = 0", "Logging.every = 1", "Training.checkpoint = @Checkpoint()", "Checkpoint.every = 10",
)  # fmt: skip
TYPES = {
    "examples": standard_artifacts.Examples,
    "schema": standard_artifacts.Schema,
    "vocabulary": Vocabulary,
    "model": standard_artifacts.Model,
    "model_run": standard_artifacts.ModelRun,
}
INPUTS, OUTPUTS = ("examples", "schema", "vocabulary"), ("model", "model_run")


class Trainer:
    """A folder of inputs and outputs of one Trainer, and its command lines."""

    def __init__(self, folder: pathlib.Path, image: pathlib.Path, vocabulary: str) -> None:
        self.launcher = Launcher(folder, image, resolvers=False)
        self.folder = self.launcher.bucket / "made"
        write_shards(self.folder / "examples" / "Split-train", 2, EXAMPLES[:96])  # a shard for each of two readers
        write_shards(self.folder / "examples" / "Split-eval", 1, EXAMPLES[96:])
        for name in ("schema", "vocabulary"):
            (self.folder / name).mkdir()
        (self.folder / "schema" / "schema.pbtxt").write_text("")
        shutil.copy(vocabulary, self.folder / "vocabulary" / "vocabulary.model")

    def command(self, steps: int, *bindings: str) -> list[str]:
        """Returns the command line that Kubeflow Pipelines would run."""
        files = [GIN, str(ROOT / "gin" / "platform" / "kubeflow.gin")]
        root = f"Kubeflow.root = '{BUCKET}/siglip'"
        spec = compiled.kubeflow(self.folder, *TINY, root, *bindings, files=files)[0]
        task = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
        values = {name: one["runtimeValue"]["constant"] for name, one in task.items() if "runtimeValue" in one}
        made = {name: self._runtime_artifact(name, kind) for name, kind in TYPES.items()}
        executor_input = {
            "inputs": {"parameterValues": {**values, "steps": steps}, "artifacts": {key: made[key] for key in INPUTS}},
            "outputs": {
                "artifacts": {key: made[key] for key in OUTPUTS},
                "outputFile": f"{self.folder}/output_metadata.json",
            },
        }
        return self.launcher.command(
            spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"], executor_input
        )

    def start(self, command: list[str], **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, env=self.launcher.environment() | environment, cwd="/", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def weights(self) -> dict[str, np.ndarray]:
        return saved_model.read(str(self.folder / "model" / "Format-Serving")).weights

    def wait_for_a_checkpoint(self, process: subprocess.Popen, after: int) -> None:
        checkpoints.wait_for_one(self.launcher.bucket / "siglip" / "own_data" / "checkpoints", process, after)

    def _runtime_artifact(self, name: str, kind: type) -> dict:
        title = kind.TYPE_NAME if "." in kind.TYPE_NAME else f"tfx.{kind.TYPE_NAME}"
        metadata = {"split_names": '["train", "eval"]'} if name == "examples" else {}
        artifact = {"name": name, "uri": f"{BUCKET}/made/{name}", "type": {"schemaTitle": title}, "metadata": metadata}
        return {"artifacts": [artifact]}
