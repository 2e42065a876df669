"""The exported model compared with those of other projects, each called in a loop in its own process."""

import dataclasses
import json
import pathlib
import tempfile

from tests.benchmarks import alternation, environments, peer_steps
from tests.benchmarks.serving import export_quickstart
from tests.pictures import shape_pairs

_PEERS = ("transformers", "open_clip")
_TIMES = {1: 200, 32: 50}


def run(rounds: int) -> list[str]:
    """Lines with the times of requests with 1 and 32 pictures, and the ratios."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "pictures"
        folder.mkdir()
        for number, (picture, _, _) in enumerate(shape_pairs()[: max(_TIMES)]):
            (folder / f"{number:02}.png").write_bytes(picture)
        saved_model = export_quickstart(name).saved_model
        case = dataclasses.asdict(peer_steps.case("tiny", 64, 1200, 1))
        for rows, times in _TIMES.items():
            work = {"pictures": str(folder), "rows": rows, "times": times, "saved_model": saved_model, "case": case}
            argument = json.dumps(work)
            peers = [environments.peer(peer, f"serve_{peer}.py", argument) for peer in _PEERS]
            competitors = [environments.ours("serve_ours.py", argument), *peers]
            lines.append(f"embeddings of {rows} PNG of 48 px, tiny model, {rounds} rounds of {times} requests")
            found, ratio = alternation.compare(competitors, rounds, unit="a request", sized="pictures")
            lines += [f"  {line}" for line in [*found, ratio or "no peer was measured"]]
    return lines
