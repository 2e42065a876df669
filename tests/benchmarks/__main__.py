"""All benchmarks: `make bench`. A ratio compares something with a baseline; both are timed in turn."""

import argparse
import itertools
import os
import sys

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks import (
    build,
    data_memory,
    loss_memory,
    near_duplicates,
    oners,
    peer_data,
    peer_serving,
    peer_steps,
    quickstart,
    rockets,
    serving,
    shuffle,
    simla_memory,
    simlas,
    steps,
    workers,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds of each ratio")
    parser.add_argument("--only", choices=["steps", "memory", "data", "quickstart", "serving"], help="run one group")
    parser.add_argument("--peers", action="store_true", help="compare with other projects (steps, data, serving)")
    parser.add_argument("--big_vision", default="", metavar="FOLDER", help="a checkout of big_vision, for --peers")
    parser.add_argument("--torch_compile", action="store_true", help="--peers also measures torch.compile (slow)")
    options = parser.parse_args()
    if options.peers and options.only in ("memory", "quickstart"):
        parser.error(f"--peers has no group {options.only!r}; use --only steps, data or serving")
    if options.peers:
        return _peers(options)
    exceeded = 0
    if options.only in (None, "steps"):
        print("Ratio of times: median [quartiles], noise: the baseline against itself", flush=True)
        for found in itertools.chain.from_iterable(one.run(options.rounds) for one in (steps, rockets, oners, simlas)):
            print(f"  {found}", flush=True)
            exceeded += not found.kept
    if options.only in (None, "memory"):
        print("\n".join([*loss_memory.run(), *simla_memory.run()]), flush=True)
    if options.only in (None, "data"):
        line, built = build.run()
        print(line, flush=True)
        ratios = [built, workers.run(), *near_duplicates.run(min(options.rounds, 7))]
        print("\n".join(f"  {found}" for found in ratios), flush=True)
        print(shuffle.run(), flush=True)
        print(data_memory.run(), flush=True)
        exceeded += sum(not found.kept for found in ratios)
    if options.only in (None, "quickstart"):
        print(quickstart.run(), flush=True)
    if options.only in (None, "serving"):
        lines, ratios = serving.run(options.rounds)
        print("\n".join(f"  {line}" for line in [*lines, *ratios]), flush=True)
    return exceeded


def _peers(options: argparse.Namespace) -> int:
    rounds, broken = max(3, min(options.rounds, 5)), 0
    if options.only in (None, "steps"):
        lines, broken = peer_steps.run(rounds, options.big_vision, options.torch_compile)
        print("\n".join(lines), flush=True)
    if options.only in (None, "data"):
        print("\n".join(peer_data.run(rounds)), flush=True)
    if options.only in (None, "serving"):
        print("\n".join(peer_serving.run(rounds)), flush=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
