"""Examples per second of the quickstart's training, and the share of time that it waits for batches: 300 steps."""

import json
import pathlib
import statistics
import tempfile

from pipeline import local_runner

_GIN = pathlib.Path(__file__).parents[2] / "gin" / "quickstart.gin"


def run(steps: int = 300) -> str:
    """One line, with medians over the rows of the log."""
    with tempfile.TemporaryDirectory() as folder:
        local_runner.run([str(_GIN)], [f"Training.steps = {steps}"], folder, dry_run=False)
        (log,) = pathlib.Path(folder).rglob("training_log.jsonl")
        rows = [json.loads(line) for line in log.read_text().splitlines()][1:]
    rate = statistics.median(row["examples_per_second"] for row in rows)
    wait = statistics.median(row["input_wait_share"] for row in rows)
    return f"quickstart: {rate:,.0f} examples/s, {wait:.1%} of the time waiting for batches"
