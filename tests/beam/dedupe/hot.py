"""Deduplicates a corpus that has one picture many times; prints time and peak memory as JSON.

python -m tests.beam.dedupe.hot ROWS FOLDER
"""

import json
import pathlib
import sys
import time

from PIL import Image

from beam import dedupe, store
from beam.records import ImageText
from tests import memory
from tests.beam import stored
from tests.pictures import encode


def main(rows: str, folder: str) -> None:
    picture = encode(Image.linear_gradient("L").resize((16, 16)))
    source = stored.write(
        pathlib.Path(folder) / "source",
        [ImageText(f"copy-{number}", picture, f"caption {number}", "x:1", "test") for number in range(int(rows))],
    )
    start = time.monotonic()
    stage = dedupe.Deduplicate(
        dedupe.DeduperSettings(), stored.LAYOUT, store.Folders(source, f"{folder}/out", f"{folder}/report")
    )
    manifest = stored.run(stage, pathlib.Path(folder) / "report")
    found = {"written": manifest["written"], "dropped": manifest["dropped"]}
    print(json.dumps({**found, "seconds": time.monotonic() - start, "peak_bytes": memory.peak_bytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
