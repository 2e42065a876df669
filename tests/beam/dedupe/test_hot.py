"""A corpus with one picture 100,000 times keeps one row, in bounded memory."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.slow
def test_hundred_thousand_copies_keep_one_row_in_bounded_memory(tmp_path, capsys):
    def run(rows: int) -> dict:
        command = [sys.executable, "-m", "tests.beam.dedupe.hot", str(rows), str(tmp_path / str(rows))]
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        return json.loads(answer.splitlines()[-1])

    few, many = run(1_000), run(100_000)
    with capsys.disabled():
        print(f"\n1,000 copies: {few}\n100,000 copies: {many}")
    assert many["written"] == few["written"] == 1
    assert many["dropped"] == {"duplicate": 99_999}
    # One process holds the whole corpus between stages: rows and fingerprints take some kilobytes each.
    assert many["peak_bytes"] - few["peak_bytes"] < 100_000 * 20_000
