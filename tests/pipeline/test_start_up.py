"""What a local run must not import before its first component."""

import json
import subprocess
import sys

# What pipeline.local_runner imports before LocalDagRunner starts.
_LOCAL_RUN = """
import json, sys
import pipeline.local_runner, pipeline.pins, pipeline.pipeline, pipeline.platform
import pipeline.console.beam_flags, pipeline.console.summary, pipeline.settings.run
import tfx.orchestration.local.local_dag_runner
print(json.dumps(sorted(sys.modules)))
"""


def test_a_local_run_does_not_import_the_clients_of_vertex_ai():
    """They are a third of all imports. `tfx.v1` imports them, so pipeline/ imports TFX's modules one by one."""
    printed = subprocess.run([sys.executable, "-c", _LOCAL_RUN], capture_output=True, text=True, check=True).stdout
    imported = json.loads(printed.splitlines()[-1])
    assert "tfx.components.evaluator.component" in imported
    assert not [name for name in imported if name.startswith(("google.cloud.aiplatform", "tfx.v1"))]
