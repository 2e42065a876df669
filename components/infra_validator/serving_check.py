"""The serving check: serves the model, sends requests, measures, and stops the server."""

import time
from typing import Any

from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client

from components.infra_validator import process_runner, runners
from components.infra_validator.load_test import LoadTest
from components.infra_validator.serving_requests import NotServable, Rows, require_refusal, require_signatures
from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import MODEL_NAME, GrpcClient, NoAnswer, Refused
from models.serving import contract, export

_POLL_SECONDS = 0.2
_TIMED = 5
_LOG_CHARACTERS = 500


def serve_and_check(
    model_path: str, pictures: list[bytes], captions: list[bytes], settings: InfraValidatorSettings
) -> dict[str, Any]:
    """Starts a server, checks its answers and its cost, and stops it.

    Args:
      model_path: folder of the SavedModel, see `runners.create`.
      pictures: encoded pictures; a request sends all of them.
      captions: one for each picture.
      settings: platform and bounds.

    Returns:
      {"problem": "" or why the model is not blessed, "platform": ..., "rows": ..., "model_bytes": ...,
      "load_seconds": ..., "request_seconds": {signature: ...}, "peak_memory_bytes": ..., "memory_growth_bytes": ...};
      a measurement that was not reached, or that the platform does not report, is missing.

    Raises:
      RuntimeError: the platform is not available, so nothing is known about the model.
    """
    check: dict[str, Any] = {"problem": "", "platform": settings.platform, "rows": len(pictures)}
    check["model_bytes"] = export.folder_bytes(model_path)
    if check["model_bytes"] > settings.max_model_bytes:
        check["problem"] = _too_large("the SavedModel has", check["model_bytes"], "max_model_bytes", settings)
        return check
    runner = runners.create(settings, model_path)
    try:
        _wait_until_served(runner, settings, check)
        rows = Rows(pictures, captions, contract.served(model_path), export.label_counts(model_path))
        require_signatures(rows)
        _check_served(runner, rows, settings, check)
    except NotServable as error:
        check["problem"] = str(error)
    except (Refused, NoAnswer) as error:
        check["problem"] = f"{error}{_log_end(runner)}"
    except error_types.DeadlineExceeded:
        bound = f"InfraValidator.max_load_seconds is {settings.max_load_seconds:g}"
        check["problem"] = f"the server did not load the model in time: {bound}{_log_end(runner)}"
    except error_types.InfraValidationError:
        check["problem"] = f"the server could not load the model{_log_end(runner)}"
    finally:
        runner.Stop()
    return check


def _wait_until_served(runner: runners.Runner, settings: InfraValidatorSettings, check: dict[str, Any]) -> None:
    start = time.time()
    deadline = start + settings.max_load_seconds
    runner.Start()
    runner.WaitUntilRunning(deadline)
    status = tensorflow_serving_client.TensorFlowServingClient(runner.GetEndpoint(), MODEL_NAME)
    status.WaitUntilModelLoaded(deadline, polling_interval_sec=_POLL_SECONDS)
    check["load_seconds"] = time.time() - start


def _check_served(runner: runners.Runner, rows: Rows, settings: InfraValidatorSettings, check: dict[str, Any]) -> None:
    client = GrpcClient(runner.GetEndpoint(), timeout=settings.max_load_seconds)
    load = LoadTest(client, rows)
    _measure_memory(runner, settings, check)
    check["request_seconds"] = {}
    for signature in rows.requests():
        seconds = check["request_seconds"][signature] = load.median_seconds(signature, _TIMED)
        if seconds > settings.max_latency_seconds:
            raise NotServable(
                f"{signature} takes {seconds:.3g} s for {len(rows.pictures)} rows (median of {_TIMED}), but "
                f"InfraValidator.max_latency_seconds is {settings.max_latency_seconds:g}; train a smaller model, or "
                "raise the bound"
            )

    settled = settings.leak_requests // 5
    load.send_mixed(settled)
    before = _measure_memory(runner, settings, check)
    load.send_mixed(settings.leak_requests - settled)
    after = _measure_memory(runner, settings, check)
    require_refusal(client, rows)
    if before is None or after is None:
        return
    check["memory_growth_bytes"] = after.now - before.now
    if check["memory_growth_bytes"] > settings.max_growth_bytes:
        what = f"over {settings.leak_requests - settled} requests the server's memory grew by"
        raise NotServable(_too_large(what, check["memory_growth_bytes"], "max_growth_bytes", settings, "find the leak"))


def _measure_memory(
    runner: runners.Runner, settings: InfraValidatorSettings, check: dict[str, Any]
) -> process_runner.Memory | None:
    memory = runner.memory()
    if memory is not None:
        check["peak_memory_bytes"] = memory.peak
        if memory.peak > settings.max_memory_bytes:
            raise NotServable(_too_large("the server took", memory.peak, "max_memory_bytes", settings))
    return memory


def _too_large(
    what: str, number: int, bound: str, settings: InfraValidatorSettings, fix: str = "train a smaller model"
) -> str:
    allowed = getattr(settings, bound)
    rule = f"InfraValidator.{bound} is {allowed / 1e6:,.1f} MB"
    return f"{what} {number / 1e6:,.1f} MB, but {rule}; {fix}, or raise the bound"


def _log_end(runner: runners.Runner) -> str:
    """Quotes the last line of the server's log, which usually gives the cause."""
    try:
        lines = (runner.GetLogs() or "").strip().splitlines()
    except Exception as error:  # each platform raises its own error if the container is gone
        lines = [f"none, {error}"]
    return f"; its log ends: {lines[-1][-_LOG_CHARACTERS:]}" if lines else ""
