"""The programs in docs/serving.md run, and TensorFlow Serving and Kubernetes can read the files in serving/."""

import json
import pathlib
import re

import numpy as np
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from kubernetes import client as kubernetes_client

from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import LocalClient
from tests.pictures import shape_pairs
from tests.rest_server import rest_server
from tests.served import thread_server

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "serving.md").read_text()
MANIFEST = list(yaml.safe_load_all((ROOT / "serving" / "kubernetes.yaml").read_text()))
FLAGS = {"monitoring_config_file", "enable_batching", "batching_parameters_file"}


@pytest.fixture(scope="module")
def client(exported):
    return LocalClient(exported)


def test_the_programs_on_the_page_run(exported, client, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("picture.png").write_bytes(shape_pairs()[0][0])
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 2
    with rest_server(client) as url, thread_server(exported) as address:
        for program in programs:
            here = program.replace("http://localhost:8501", url).replace("localhost:8500", address)
            assert here != program
            exec(compile(here, "docs/serving.md", "exec"), {})
    probabilities, shape = capsys.readouterr().out.splitlines()
    assert np.shape(json.loads(probabilities)) == (1, 2)
    assert shape == "(2, 32)"


# Copied from the protos of TensorFlow Serving; its Python package lacks these two.
PROTOS = """
name: 'serving.proto' syntax: 'proto3' dependency: 'google/protobuf/wrappers.proto'
message_type {
  name: 'MonitoringConfig'
  nested_type {
    name: 'PrometheusConfig'
    field { name: 'enable' number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
    field { name: 'path' number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  field {
    name: 'prometheus_config' number: 1 type: TYPE_MESSAGE type_name: '.MonitoringConfig.PrometheusConfig' label: LABEL_OPTIONAL
  }
}
message_type {
  name: 'BatchingParameters'
  field { name: 'max_batch_size' number: 1 type: TYPE_MESSAGE type_name: '.google.protobuf.Int64Value' label: LABEL_OPTIONAL }
  field { name: 'batch_timeout_micros' number: 2 type: TYPE_MESSAGE type_name: '.google.protobuf.Int64Value' label: LABEL_OPTIONAL }
  field { name: 'max_enqueued_batches' number: 3 type: TYPE_MESSAGE type_name: '.google.protobuf.Int64Value' label: LABEL_OPTIONAL }
  field { name: 'num_batch_threads' number: 4 type: TYPE_MESSAGE type_name: '.google.protobuf.Int64Value' label: LABEL_OPTIONAL }
  field { name: 'allowed_batch_sizes' number: 6 type: TYPE_INT64 label: LABEL_REPEATED }
  field { name: 'pad_variable_length_inputs' number: 7 type: TYPE_BOOL label: LABEL_OPTIONAL }
}
"""  # noqa: E501


def parse(kind: str, text: str):
    pool = descriptor_pool.DescriptorPool()
    for name, proto in (("google/protobuf/wrappers.proto", None), ("serving.proto", PROTOS)):
        file = descriptor_pb2.FileDescriptorProto()
        if proto is None:
            descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
        else:
            text_format.Parse(proto, file)
        pool.Add(file)
    descriptor = pool.FindMessageTypeByName(kind)
    made = getattr(message_factory, "GetMessageClass", None)  # protobuf 3 has MessageFactory instead
    message = made(descriptor) if made else message_factory.MessageFactory(pool).GetPrototype(descriptor)
    return text_format.Parse(text, message(), descriptor_pool=pool)


def test_configuration_files_parse_as_the_servers_protos():
    monitoring = parse("MonitoringConfig", (ROOT / "serving" / "monitoring.pbtxt").read_text()).prometheus_config
    assert monitoring.enable
    assert monitoring.path in PAGE
    batching = parse("BatchingParameters", (ROOT / "serving" / "batching.pbtxt").read_text())
    assert batching.max_batch_size.value == 32
    assert batching.max_enqueued_batches.value > batching.num_batch_threads.value > 0
    with pytest.raises(text_format.ParseError, match="max_batch"):  # control
        parse("BatchingParameters", "max_batch { value: 3 }")


def test_the_manifest_has_only_fields_that_kubernetes_knows():
    """The API's own classes drop an unknown field and refuse a value of the wrong kind."""
    kinds = {"ConfigMap": "V1ConfigMap", "Deployment": "V1Deployment", "Service": "V1Service"}
    assert [one["kind"] for one in MANIFEST] == list(kinds)
    api = kubernetes_client.ApiClient()
    for one in MANIFEST:
        assert through(api, one, kinds[one["kind"]]) == one
    wrong = json.loads(json.dumps(MANIFEST[1]).replace("mountPath", "mount_path", 1))
    with pytest.raises(ValueError, match="mount_path"):  # control
        through(api, wrong, "V1Deployment")
    assert through(api, {**MANIFEST[2], "specs": {}}, "V1Service") != {**MANIFEST[2], "specs": {}}


def through(api: kubernetes_client.ApiClient, manifest: dict, kind: str) -> dict:
    class Response:
        data = json.dumps(manifest)

    return api.sanitize_for_serialization(api.deserialize(Response, kind))


def test_the_manifest_agrees_with_the_page():
    config, deployment, service = MANIFEST
    assert config["data"]["monitoring.pbtxt"] == (ROOT / "serving" / "monitoring.pbtxt").read_text()
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    image = f"{InfraValidatorSettings.image}:{InfraValidatorSettings.tag}"
    assert container["image"] == image
    assert image in PAGE
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes[mounts["/models/siglip"]]["persistentVolumeClaim"]["claimName"] == "siglip-models"
    assert volumes[mounts["/config"]]["configMap"]["name"] == config["metadata"]["name"]
    assert container["env"] == [{"name": "MODEL_NAME", "value": "siglip"}]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/siglip"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports
    labels = pod["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    given = {argument.split("=")[0].removeprefix("--") for argument in container["args"]}
    assert given <= FLAGS


def test_embedding_signatures_can_be_batched_and_serving_default_cannot(client):
    """Does as --enable_batching: joins inputs along dimension 0, asks once, and splits outputs by request."""
    pictures, captions, _ = zip(*shape_pairs()[:4], strict=True)
    texts = [caption.encode() for caption in captions]

    def merged(signature: str, first: dict, second: dict) -> bool:
        both = client.predict(signature, {name: [*first[name], *second[name]] for name in first})
        rows, apart = (
            len(next(iter(first.values()))),
            (client.predict(signature, first), client.predict(signature, second)),
        )
        return all(
            both[name][part].shape == answer[name].shape and np.allclose(both[name][part], answer[name], atol=1e-5)
            for part, answer in zip((slice(None, rows), slice(rows, None)), apart, strict=True)
            for name in answer
        )

    assert merged("embed_image", {"image_bytes": pictures[:1]}, {"image_bytes": pictures[1:]})
    assert merged("embed_text", {"text": texts[:1]}, {"text": texts[1:]})
    pairs = [{"image_bytes": pictures[part], "labels": texts[part]} for part in (slice(0, 2), slice(2, 4))]
    assert not merged("serving_default", *pairs)
