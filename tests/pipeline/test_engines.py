"""gin/engine: Beam knows each flag, and several processes write the same bytes as one."""

import base64
import json
import pathlib

import apache_beam
import distributed
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam import build, store
from beam.augment import augment
from beam.dedupe.deduplicate import Deduplicate
from beam.dedupe.settings import DeduperSettings
from beam.sources import OpenMojiSource
from models.settings import configuration
from pipeline.console import beam_flags
from pipeline.settings.run import PipelineSettings
from tests.beam import stored
from tests.pictures import shape_pairs
from tests.pipeline.conftest import ROOT

ENGINES = sorted(path.stem for path in (ROOT / "gin" / "engine").glob("*.gin"))


def beam_args(engine: str) -> tuple[str, ...]:
    files = [str(ROOT / "gin" / "quickstart.gin"), str(ROOT / "gin" / "engine" / f"{engine}.gin")]
    return configuration.load(files, [], [PipelineSettings])[0].beam_args


@pytest.mark.parametrize("engine", ENGINES)
def test_beam_knows_every_flag(engine):
    assert not beam_flags.unknown(beam_args(engine))


def test_unknown_beam_flag_is_printed(capsys):
    beam_flags.print_unknown(("--runner=FnApiRunner", "--direct_num_wrkers=3"))
    (line,) = capsys.readouterr().out.splitlines()
    assert "Pipeline.beam_args has '--direct_num_wrkers=3', which Beam" in line


PARTS = ("built", "deduplicated", "augmented")
PORTABLE = ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK")
DASK = ("--runner=apache_beam.runners.dask.dask_runner.DaskRunner", "--dask_npartitions=4")


def run_plane(folder: pathlib.Path, flags: tuple[str, ...], parts: int = len(PARTS)) -> dict[str, str]:
    """Runs parts of the data plane one after another; returns the checksums of shards and manifests."""
    examples, reports = ([str(folder / part / name) for part in PARTS] for name in ("examples", "report"))
    rows = [
        {"image_base64": base64.b64encode(image).decode(), "caption": caption}
        for image, caption, _ in [*shape_pairs()[:40], *shape_pairs()[:3], (b"broken", "no picture", "")]
    ]
    source = stored.write_jsonl(folder.parent / "rows.jsonl", rows)
    settings = build.ImageTextGenSettings(source, shards=stored.LAYOUT.shards, salt=stored.LAYOUT.salt, shard_bytes=0)
    stages = [
        build.Build(settings, examples[0], reports[0]),
        Deduplicate(
            DeduperSettings(caption_similarity=0.8),
            stored.LAYOUT,
            store.Folders(examples[0], examples[1], reports[1]),
        ),
        augment.Augment(
            augment.AugmenterSettings(stop_word_removal=0.5, views=("jpeg",)),
            stored.LAYOUT,
            store.Folders(examples[1], examples[2], reports[2]),
        ),
    ]
    for stage in stages[:parts]:
        with apache_beam.Pipeline(options=PipelineOptions(list(flags))) as pipeline:
            pipeline | stage
    return {**stored.checksums(folder), **stored.checksums(folder, "manifest.json")}


def test_portable_runner_over_grpc_gives_the_same_bytes(tmp_path):
    expected = run_plane(tmp_path / "in_process", ("--runner=FnApiRunner",))
    assert run_plane(tmp_path / "engine", PORTABLE) == expected
    assert len(expected) == 21


@pytest.mark.slow
def test_two_dask_workers_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the workers are other processes
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        built = run_plane(tmp_path / "dask", (*DASK, f"--dask_client_address={cluster.scheduler_address}"), parts=1)
        distributed.default_client().close()  # Beam's client would wait for the cluster to return
    assert built == run_plane(tmp_path / "in_process", ("--runner=FnApiRunner",), parts=1)
    assert len(built) == 7


@pytest.mark.slow
def test_processes_give_the_same_bytes(tmp_path):
    def checksums(name: str, flags: tuple[str, ...]) -> dict[str, str]:
        settings = build.ImageTextGenSettings(
            OpenMojiSource(16), shards=2, salt="test", shard_bytes=0, unique_captions=False
        )
        with apache_beam.Pipeline(options=PipelineOptions(list(flags))) as pipeline:
            pipeline | build.Build(settings, str(tmp_path / name), str(tmp_path / name / "report"))
        manifest = json.loads((tmp_path / name / "report" / "manifest.json").read_text())
        assert manifest["written"] > 3700
        return stored.checksums(tmp_path / name)

    assert checksums("one", ("--runner=FnApiRunner",)) == checksums("more", beam_args("local_workers"))
