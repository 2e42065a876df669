"""What goes wrong between this machine and a platform, as one line that says what to do."""

from collections.abc import Callable


def of_clients() -> tuple[type[Exception], ...]:
    """Errors of the clients that the user can mend; imports the clients, so ask once one has been raised."""
    return tuple(_fixes())


def told(error: Exception) -> str:
    """What happened, and what helps; of one of `of_clients()`."""
    return next(tell(error) for kind, tell in _fixes().items() if isinstance(error, kind))


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
            "address that this machine reaches"
        ),
        kfp_server_api.ApiException: lambda error: (
            f"Kubeflow Pipelines answered {error.status} {error.reason}; correct Kubeflow.host, Kubeflow.namespace or "
            "what you may do there"
        ),
        tf.errors.OpError: lambda error: (
            f"{error.message}; see that --output can be written, and what gin names in buckets be read"
        ),
    }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
