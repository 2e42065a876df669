"""A fake of Kubeflow Pipelines 2 and Vertex AI: it walks a compiled specification and runs the containers' commands.

Each command runs like in a pod: as a process of its own, in an empty folder, with the installed wheel and without this
checkout. The launcher replaces the placeholder {{$}} by an ExecutorInput and reads an ExecutorOutput. A folder stands
for the bucket: the launcher replaces the bucket's address by the folder's path in inputs, and back in outputs.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
import uuid
from concurrent import futures
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

BUCKET = "gs://test-bucket"
ROOT = pathlib.Path(__file__).parents[3]
_WHEEL_OF = ("setup.py", "pyproject.toml", "siglip_tfx.py", "beam", "components", "models", "pipeline")
_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.artifacts\['(\w+)'\]\.metadata\['(\w+)'\]\}\}")


class Failed(RuntimeError):
    """A task failed; the message is the end of its output."""


def make_image(folder: pathlib.Path) -> pathlib.Path:
    """Makes an environment with this project's wheel and the packages of the lock; returns its bin folder."""
    source, wheels, image = folder / "source", folder / "wheels", folder / "image"
    source.mkdir()
    for name in _WHEEL_OF:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", image], check=True)
    (packages,) = image.glob("lib/python*/site-packages")
    (lock,) = (path for path in sys.path if path.endswith("site-packages"))
    # A .pth file adds a folder but does not read the .pth files in it, one of which would add the checkout.
    (packages / "lock.pth").write_text(lock + "\n")
    shutil.unpack_archive(wheel, packages, "zip")
    return image / "bin"


@dataclasses.dataclass
class Task:
    """The result of a task of a run."""

    cached: bool
    artifacts: dict[str, dict[str, Any]]
    parameters: dict[str, Any]
    printed: str = ""


class Launcher:
    """One installation: each run sees the bucket, metadata and cache that the runs before it left."""

    def __init__(self, folder: pathlib.Path, bin_folder: pathlib.Path, resolvers: bool) -> None:
        self.bucket, self._scratch, self._bin = folder / "bucket", folder / "scratch", bin_folder
        self._resolvers = resolvers
        self._artifacts: list[dict[str, Any]] = []
        self._cache: dict[str, Task] = {}
        self.tasks: dict[str, Task] = {}
        self.bucket.mkdir(parents=True, exist_ok=True)

    def run(self, spec: dict[str, Any], **parameters: Any) -> dict[str, Task]:
        """Runs the tasks in the order of their dependencies; raises Failed for the first task that fails."""
        defined = spec["root"]["inputDefinitions"]["parameters"]
        values = {name: definition["defaultValue"] for name, definition in defined.items()} | parameters
        waiting, self.tasks = dict(spec["root"]["dag"]["tasks"]), {}
        root = f"{BUCKET}/runs/{uuid.uuid4().hex[:8]}"
        while waiting:
            ready = [name for name, task in waiting.items() if _before(task) <= {*self.tasks}]
            assert ready, f"a cycle or a missing task: {sorted(waiting)}"
            with futures.ThreadPoolExecutor(max_workers=2) as pool:
                started = {
                    name: pool.submit(self._task, name, waiting.pop(name), spec, values, f"{root}/{name}")
                    for name in ready
                }
            self.tasks |= {name: task.result() for name, task in started.items()}
        return self.tasks

    def _task(self, name: str, task: dict, spec: dict, values: dict, root: str) -> Task:
        component = spec["components"][task["componentRef"]["name"]]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        artifacts = self._input_artifacts(task)
        if "resolver" in executor:
            assert self._resolvers, "resolver not implemented yet"  # the error of open-source Kubeflow Pipelines
            queries = executor["resolver"]["outputArtifactQueries"]
            found = {key: self._query(query["filter"], artifacts) for key, query in queries.items()}
            return Task(False, {key: artifact for key, artifact in found.items() if artifact}, {})
        parameters = self._input_parameters(task, values)
        assert set(parameters) == set(component.get("inputDefinitions", {}).get("parameters", {})), name
        container = executor["container"]
        names = {key: artifact["name"] for key, artifact in artifacts.items()}
        key = json.dumps([container, parameters, names, component.get("outputDefinitions")], sort_keys=True)
        if task.get("cachingOptions", {}).get("enableCache") and key in self._cache:
            return dataclasses.replace(self._cache[key], cached=True)
        outputs = component.get("outputDefinitions", {})
        made = {
            key: {"name": "", "uri": f"{root}/{key}", "type": output["artifactType"], "metadata": {}}
            for key, output in outputs.get("artifacts", {}).items()
        }
        self._path(root).mkdir(parents=True)
        tries = 1 + task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for left in reversed(range(tries)):
            output_file = self._new_folder() / "output_metadata.json"
            executor_input = _executor_input(parameters, artifacts, made, outputs.get("parameters", {}), output_file)
            code, printed = self._execute(container, executor_input)
            if code == 0:
                break
            if not left:
                raise Failed(f"{name} ended with {code}: {printed[-8000:]}")
        done = Task(False, made, *self._collect(made, output_file), printed)
        for artifact in made.values():
            artifact["name"] = str(len(self._artifacts) + 1)
            self._artifacts.append(artifact)
        assert set(done.parameters) == set(outputs.get("parameters", {})), name
        self._cache[key] = done
        return done

    def command(self, container: dict, executor_input: dict) -> list[str]:
        """Returns the command line of a container, with the folder in place of the bucket's address."""
        text = json.dumps(executor_input)
        json_format.Parse(text, pipeline_spec_pb2.ExecutorInput())
        words = [word.replace("{{$}}", text) for word in [*container["command"], *container["args"]]]
        assert not any("{{$" in word for word in words)
        assert max(len(word) for word in words) < 131_072, "an argument is longer than Linux allows"
        return [word.replace(BUCKET, str(self.bucket)) for word in words]

    def environment(self) -> dict[str, str]:
        """Returns the environment of a process: the Python of the image, and no variable of this process."""
        return {"PATH": f"{self._bin}:/usr/bin:/bin", "HOME": str(self._new_folder()), "TF_CPP_MIN_LOG_LEVEL": "2"}

    def _execute(self, container: dict, executor_input: dict) -> tuple[int, str]:
        done = subprocess.run(
            self.command(container, executor_input), env=self.environment(), cwd=self._new_folder(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _collect(self, made: dict[str, dict], output_file: pathlib.Path) -> tuple[dict[str, Any]]:
        """Merges the ExecutorOutput into `made`; leaves `made` unchanged if the process wrote none."""
        if not output_file.exists():
            return ({},)
        output = json.loads(output_file.read_text().replace(str(self.bucket), BUCKET))
        for key, artifacts in output.get("artifacts", {}).items():
            made[key]["metadata"] |= artifacts["artifacts"][0].get("metadata", {})
            made[key]["uri"] = artifacts["artifacts"][0]["uri"]
        return (output.get("parameterValues", {}),)

    def _input_parameters(self, task: dict, values: dict) -> dict[str, Any]:
        found = {}
        for name, parameter in task.get("inputs", {}).get("parameters", {}).items():
            ((kind, where),) = parameter.items()
            if kind == "runtimeValue":
                found[name] = where["constant"]
            elif kind == "componentInputParameter":
                found[name] = values[where]
            else:
                found[name] = self.tasks[where["producerTask"]].parameters[where["outputParameterKey"]]
        return found

    def _input_artifacts(self, task: dict) -> dict[str, dict[str, Any]]:
        found = {}
        for name, artifact in task.get("inputs", {}).get("artifacts", {}).items():
            where = artifact["taskOutputArtifact"]
            made = self.tasks[where["producerTask"]].artifacts.get(where["outputArtifactKey"])
            if made:
                found[name] = made
        return found

    def _query(self, text: str, inputs: dict[str, dict]) -> dict[str, Any] | None:
        """Returns the newest artifact that matches all conditions of a resolver's filter."""
        if any(key not in inputs for key, _ in _PLACEHOLDER.findall(text)):
            return None
        text = _PLACEHOLDER.sub(lambda match: str(inputs[match[1]]["metadata"][match[2]]), text)
        for artifact in reversed(self._artifacts):
            facts = {"schema_title": _title(artifact), "state": "LIVE", "name": artifact["name"]}
            numbers = {key: value for key, value in artifact["metadata"].items() if isinstance(value, float)}
            facts |= {f"metadata.{key}.number_value": f"{value:g}" for key, value in numbers.items()}
            if all(facts.get(k) == v.strip('"') for k, v in (part.split("=") for part in text.split(" AND "))):
                return artifact
        return None

    def _path(self, uri: str) -> pathlib.Path:
        return pathlib.Path(uri.replace(BUCKET, str(self.bucket)))

    def _new_folder(self) -> pathlib.Path:
        folder = self._scratch / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder


def _before(task: dict[str, Any]) -> set[str]:
    """Returns the tasks to run first: dependentTasks, and producers of inputs, which TFX omits there for resolvers."""
    given = [one for kind in task.get("inputs", {}).values() for one in kind.values()]
    sources = [one.get("taskOutputArtifact") or one.get("taskOutputParameter") for one in given]
    return {*task.get("dependentTasks", []), *(source["producerTask"] for source in sources if source)}


def _executor_input(parameters: dict, artifacts: dict, made: dict, outputs: dict, output_file: pathlib.Path) -> dict:
    def runtime(artifact: dict, schema: dict) -> dict:
        return {"artifacts": [{**artifact, "type": schema}]}

    return {
        "inputs": {
            "parameterValues": parameters,
            # The metadata store keeps only the titles of type schemas.
            "artifacts": {key: runtime(one, {"schemaTitle": _title(one)}) for key, one in artifacts.items()},
        },
        "outputs": {
            "artifacts": {key: runtime(one, one["type"]) for key, one in made.items()},
            "parameters": {key: {"outputFile": str(output_file.parent / key)} for key in outputs},
            "outputFile": str(output_file),
        },
    }


def _title(artifact: dict[str, Any]) -> str:
    return yaml.safe_load(artifact["type"]["instanceSchema"])["title"]
