"""Installed packages: `python -m components.installed` prints them, and fails if a component cannot be imported."""

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


def versions() -> dict[str, str]:
    """Returns {package: version} of Python and of those installed packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Prints one line for each package; raises ImportError if a component's container cannot work."""
    for package, version in versions().items():
        print(f"{package} {version}")
    for entry in _ENTRIES:
        importlib.import_module(entry)


if __name__ == "__main__":
    main()
