"""A pipeline that trains on 240 drawn shapes in seconds."""

import base64
import json
import pathlib
import random
from collections import Counter

import ml_metadata
import pytest
from ml_metadata.proto import metadata_store_pb2

from pipeline import local_runner, platform
from tests.pictures import shape_pairs

ROOT = pathlib.Path(__file__).parents[2]
GIN = str(ROOT / "gin" / "own_data.gin")
STATE = metadata_store_pb2.Execution.State


class Project:
    """One output folder; each run in it sees the outputs of the runs before it."""

    def __init__(self, folder: pathlib.Path, shuffle_captions: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.output = folder / "output" / "own_data"
        self.data = folder / "pairs.jsonl"
        pictures, captions, colours = (list(column) for column in zip(*shape_pairs(), strict=True))
        if shuffle_captions:
            random.Random(0).shuffle(captions)
        rows = [
            {
                "image_base64": base64.b64encode(picture).decode(),
                "caption": caption,
                "class_name": colour,
                "language": tag,
            }
            for picture, caption, colour, tag in zip(pictures, captions, colours, ["en", "de"] * 120, strict=True)
        ]
        self.data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def bindings(self, *more: str) -> list[str]:
        return [
            f"JsonlSource.path = '{self.data}'",
            "Vocabulary.size = 330",
            "ImageTower.width = 64",
            "ImageTower.depth = 2",
            "ImageTower.mlp_dim = 128",
            "TextTower.length = 12",
            "TextTower.width = 64",
            "TextTower.mlp_dim = 128",
            "AdamW.learning_rate = 3e-3",
            "Schedule.warmup_steps = 10",
            "Training.batch_size = 64",
            "Training.steps = 200",
            "ImageTextGen.shards = 2",
            "ImageTextGen.eval_share = 2",
            "Gate.slice_by = ('language',)",
            "Gate.min_value = {'image_to_text_recall_at_5': 0.4, 'text_to_image_recall_at_5': 0.4}",
            *more,
        ]

    def run(self, *more: str) -> dict:
        """Runs the pipeline and returns the summary of the report."""
        summary = local_runner.run([GIN], self.bindings(*more), str(self.folder / "output"), dry_run=False)
        assert summary is not None
        return summary

    def executed(self) -> set[str]:
        """Components that the newest run executed and did not take from cache."""
        store = ml_metadata.MetadataStore(platform.ThisMachine(str(self.output)).locations.metadata)
        runs = store.get_contexts_by_type("pipeline_run")
        newest = max(runs, key=lambda context: context.id)
        by_id = {kind.id: kind.name for kind in store.get_execution_types()}
        executions = store.get_executions_by_context(newest.id)
        states = Counter(execution.last_known_state for execution in executions)
        assert set(states) <= {STATE.COMPLETE, STATE.CACHED}, states
        return {by_id[e.type_id].split(".")[-1] for e in executions if e.last_known_state == STATE.COMPLETE} - {
            "Resolver"
        }

    def pushed(self) -> list[str]:
        """Names of the pushed versions."""
        serving = self.output / "serving"
        return sorted(path.name for path in serving.iterdir()) if serving.exists() else []


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))
