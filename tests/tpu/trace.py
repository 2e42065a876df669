"""Traces programs of tests.tpu.cases; a command, since logical devices must be set before TensorFlow starts.

    python -m tests.tpu.trace '{"FOLDER": {"kind": "model", "replicas": 4, ...}, ...}'

`kind` names a function of tests.tpu.cases; the other keys are its arguments.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from tests.devices import make_devices
from tests.tpu import cases

if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    make_devices(max(arguments.get("replicas", 1) for arguments in wanted.values()))
    for folder, arguments in wanted.items():
        getattr(cases, arguments.pop("kind"))(pathlib.Path(folder), **arguments)
