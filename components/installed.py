"""What is installed: `python -m components.versions` prints it, and fails where a component could not be imported."""

import importlib
import importlib.metadata
import platform

_PACKAGES = (
    "siglip-tfx",
    "tfx",
    "tensorflow",
    "tensorflow-tpu",
    "libtpu",
    "tf-keras",
    "tensorflow-text",
    "tensorflow-model-analysis",
    "apache-beam",
)
_ENTRIES = (
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    "tfx.scripts.run_executor",
    "components.trainer.executor",
    "siglip_tfx",
    "tensorflow_text",
)


def installed() -> dict[str, str]:
    """{package: version} of Python and what results depend on, as far as it is installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def main() -> None:
    """Prints a line a package; raises ImportError where a container could not do its work."""
    for package, version in installed().items():
        print(f"{package} {version}")
    for entry in _ENTRIES:
        importlib.import_module(entry)


if __name__ == "__main__":
    main()
