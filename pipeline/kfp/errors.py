"""Errors of the clients of platforms, each as one line that says what to do."""

from collections.abc import Callable


def of_clients() -> tuple[type[Exception], ...]:
    """Returns the errors of clients that the user can fix. It imports the clients, so call it only after an error."""
    return tuple(_fixes())


def as_line(error: Exception) -> str:
    """Returns the error and its fix as one line; `error` is of a class that `of_clients` returns."""
    return next(describe(error) for kind, describe in _fixes().items() if isinstance(error, kind))


def _fixes() -> dict[type[Exception], Callable[[Exception], str]]:
    import kfp_server_api
    import tensorflow as tf
    import urllib3
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return {
        GoogleAuthError: lambda error: f"{_line(error)}; sign in by `gcloud auth application-default login`",
        GoogleAPIError: lambda error: (
            f"Google Cloud answered: {_line(error)}; correct Vertex.project, Vertex.region, "
            "Vertex.service_account or the roles of docs/operations.md"
        ),
        urllib3.exceptions.HTTPError: lambda error: (
            f"no answer from Kubeflow Pipelines: {_line(error)}; set Kubeflow.host to an "
            "address that this machine can reach"
        ),
        kfp_server_api.ApiException: lambda error: (
            f"Kubeflow Pipelines answered {error.status} {error.reason}; correct Kubeflow.host, Kubeflow.namespace or "
            "your permissions there"
        ),
        tf.errors.OpError: lambda error: (
            f"{error.message}; check that --output can be written and that the paths in gin can be read"
        ),
    }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
