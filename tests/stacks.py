"""Compares the quickstarts of two stacks; `make test-trixie` runs it on both.

python -m tests.stacks record OUTPUT          writes the answers of this stack's model to OUTPUT/answers.npz
python -m tests.stacks compare OUTPUT OTHER   OUTPUT is of this stack; OTHER is of the other stack, with its answers
"""

import json
import pathlib
import sys

import numpy as np

from pipeline import zero_shot
from tests.pictures import shape_pairs

LABELS = ["fire", "woman running light skin tone", "red heart", "Ελλάδα"]


def answers(output: pathlib.Path) -> np.ndarray:
    """Probabilities that the pushed model gives for four drawn shapes and four labels."""
    pictures = []
    for number, (picture, _, _) in enumerate(shape_pairs()[:4]):
        path = output / f"shape-{number}.png"
        path.write_bytes(picture)
        pictures.append(str(path))
    by_picture = zero_shot.ask(zero_shot.make_client(str(output / "serving"), None, None), pictures, LABELS)
    return np.array([[by_picture[picture][label] for label in LABELS] for picture in pictures])


def newest(output: pathlib.Path, pattern: str) -> pathlib.Path:
    return max((output / "artifacts").glob(pattern), key=lambda path: int(path.parent.name))


def record(output: pathlib.Path) -> None:
    np.savez(output / "answers.npz", answers=answers(output))


def compare(mine: pathlib.Path, other: pathlib.Path) -> None:
    summaries, shards, losses = [], [], []
    for output in (mine, other):
        summaries.append(json.loads(newest(output, "RunReport/report/*/summary.json").read_text()))
        manifest = json.loads(newest(output, "ImageTextGen/report/*/manifest.json").read_text())
        shards.append({shard["file"]: shard["sha256"] for shard in manifest["shards"]})
        log = newest(output, "Trainer/model_run/*/training_log.jsonl").read_text().splitlines()
        losses.append(json.loads(log[0])["loss"])
    stacks = [f"tfx {summary['versions']['tfx']}" for summary in summaries]
    assert stacks[0] != stacks[1], f"both outputs are of {stacks[0]}"
    for stack, summary in zip(stacks, summaries, strict=True):
        assert summary["blessed"], f"{stack} did not bless its quickstart: {summary['failures']}"
    assert shards[0] == shards[1], f"shards differ between {stacks}"
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5, err_msg="first loss")
    np.testing.assert_allclose(answers(other), np.load(other / "answers.npz")["answers"], atol=1e-4)
    print(
        f"{stacks[0]} and {stacks[1]}: both bless the quickstart, {len(shards[0])} shards are byte-identical, first "
        f"losses {losses[0]:.6f} and {losses[1]:.6f}; {stacks[0]} serves the model of {stacks[1]} with the same answers"
    )


if __name__ == "__main__":
    command, *folders = sys.argv[1:]
    {"record": record, "compare": compare}[command](*map(pathlib.Path, folders))
