"""Runs the model server as an isolated child process, with TFX's interface for model servers."""

import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_runners import base_runner

_POLL_SECONDS = 0.2
SERVER_SCRIPT = pathlib.Path(__file__).with_name("model_server.py")


class Memory(NamedTuple):
    """Resident memory of a server (bytes)."""

    now: int
    peak: int


class ProcessRunner(base_runner.BaseModelServerRunner):
    """One model server process. It sees no environment variable and no folder of ours, and imports none of our code."""

    def __init__(self, model_name: str, model_path: str) -> None:
        """Prepares the process.

        Args:
          model_name: name of the model in requests.
          model_path: folder of the SavedModel.
        """
        self._command = [sys.executable, "-I", str(SERVER_SCRIPT), model_name, model_path]
        self._environment = {"PATH": os.environ.get("PATH", ""), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by Stop)
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    def __repr__(self) -> str:
        return f"ProcessRunner({' '.join(self._command)})"

    def Start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=self._environment,
            cwd=tempfile.gettempdir(),
        )

    def WaitUntilRunning(self, deadline: float) -> None:
        assert self._process is not None, "call Start() first"
        assert self._process.stdout is not None
        output, line = self._process.stdout, b""
        while not line.endswith(b"\n"):
            if time.time() > deadline:
                raise error_types.DeadlineExceeded(f"the model server did not start in time: {self.GetLogs()}")
            if select.select([output], [], [], _POLL_SECONDS)[0]:
                chunk = os.read(output.fileno(), 4096)
                if not chunk:
                    raise error_types.JobAborted(f"the model server stopped before it listened: {self.GetLogs()}")
                line += chunk
        self._port = int(json.loads(line)["port"])

    def GetEndpoint(self) -> str:
        assert self._port is not None, "call WaitUntilRunning() first"
        return f"127.0.0.1:{self._port}"

    def memory(self) -> Memory:
        assert self._process is not None, "call Start() first"
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")}
        return Memory(kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024)

    def GetLogs(self) -> str | None:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def Stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()
