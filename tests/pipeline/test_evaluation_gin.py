"""gin/evaluation/ on TFDS's own builders: features, label names and splits are theirs; only the pictures are ours.

`tfds.testing.mock_data` gives rows without the ids that TfdsSource asks for, and random labels. So each builder
prepares planted rows here, by its own features.
"""

import inspect
import io
import json
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tqdm
from PIL import Image
from tensorflow_datasets.core.utils import gcs_utils

from beam.records import ImageText, Rejected
from beam.sources.rows.columns import to_pair
from models.inputs import tfrecords
from models.serving.label_sets import LabelSet
from models.settings import configuration
from pipeline.evaluation import scores, sets
from pipeline.settings.run import PipelineSettings
from tests.pictures import encode
from tests.pipeline.conftest import ROOT

NAMES = [f"name {number}" for number in range(1000)]
CONSTANTS = {"clip_templates", "clip_best_templates", "imagenet_classes"}
FOLDER = ROOT / "gin" / "evaluation"
PICTURES = [np.full((32, 32, 3), 20 * number, np.uint8) for number in range(6)]
LABELS = [0, 999, 500, 7, 0, 1]
LISTS = [[0, 998], [], [5], [999, 7, 8], [], [1]]


@pytest.fixture(autouse=True)
def no_bucket(monkeypatch):
    monkeypatch.setattr(gcs_utils, "_is_gcs_disabled", True)


def settings(name: str, *bindings: str) -> PipelineSettings:
    return configuration.load([str(FOLDER / f"{name}.gin")], list(bindings), [PipelineSettings])[0]


def filled(feature, number: int):
    """A value of a feature that no test looks at, or the picture of the row."""
    if isinstance(feature, tfds.features.Image):
        if feature.shape[-1] == 1:
            return np.zeros((32, 32, 1), np.uint8)
        return (
            io.BytesIO(encode(Image.fromarray(PICTURES[number]), "JPEG")) if None in feature.shape else PICTURES[number]
        )
    if isinstance(feature, tfds.features.BBoxFeature):
        return tfds.features.BBox(0.0, 0.0, 1.0, 1.0)
    return 0 if isinstance(feature, tfds.features.ClassLabel) else f"text {number}"


def own_splits(builder: tfds.core.DatasetBuilder) -> set[str]:
    """The splits that a builder's own code makes."""
    code = inspect.getsource(type(builder)._split_generators)
    return {(one or other).lower() for one, other in re.findall(r"Split\.([A-Z]+)|['\"](\w+)['\"]", code)}


def test_the_code_of_a_builder_names_its_splits(tmp_path):
    made = tfds.builder("imagenet_v2/matched-frequency", data_dir=str(tmp_path))
    assert "test" in own_splits(made)
    assert "validation" not in own_splits(made)  # control


def prepare(builder: str, split: str, planted: dict[str, list], data_dir, names: list[str]) -> list[str]:
    """Prepares rows of a builder; returns the names of its labels."""
    made = tfds.builder(builder, data_dir=str(data_dir))
    assert split in own_splits(made)
    if names:
        made.info.features["label"].names = names  # cifar100's builder reads them from its archive

    def rows():
        for number in range(len(PICTURES)):
            given = {name: values[number] for name, values in planted.items()}
            rest = {name: filled(one, number) for name, one in made.info.features.items() if name not in given}
            yield f"{number}", {**given, **rest}

    made._split_generators = lambda _: {split: rows()}
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return list(made.info.features[next(iter(planted))].names)


def pairs_of(name: str, tmp_path, *bindings: str) -> list[ImageText | Rejected]:
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps(NAMES))
    more = [f"imagenet_classes = '{classes}'"] if name.startswith("imagenet") else []
    (one,) = settings(name, f"{name}/TfdsSource.data_dir = '{tmp_path}'", *more, *bindings).evaluation_sets
    source = one.source
    return [
        to_pair(row, source.columns, source.captions, "und", "tfds", source.limits, source._classes())
        for part in source.inputs()
        for row in source.raw_rows(part)
    ]


@pytest.mark.parametrize(
    ("name", "builder", "split"),
    [
        ("imagenet", "imagenet2012", "validation"),
        ("imagenet_v2", "imagenet_v2/matched-frequency", "test"),
        ("imagenet_a", "imagenet_a", "test"),
        ("imagenet_r", "imagenet_r", "test"),
    ],
)
def test_each_label_of_imagenet_has_the_name_of_its_number(name, builder, split, tmp_path):
    synsets = prepare(builder, split, {"label": LABELS}, tmp_path, [])
    assert (synsets[0], synsets[999], len(synsets)) == ("n01440764", "n15075141", 1000)
    got = pairs_of(name, tmp_path)
    assert sorted(pair.class_name for pair in got) == sorted(NAMES[label] for label in LABELS)
    assert {pair.class_names for pair in got} == {()}
    by_name = {pair.class_name: pair.captions for pair in got}
    assert by_name["name 999"] == ("a photo of a name 999.",)


def test_real_has_all_right_names_and_rows_without_a_label_are_dropped(tmp_path):
    prepare("imagenet2012_real", "validation", {"real_label": LISTS, "original_label": LABELS}, tmp_path, [])
    got = pairs_of("imagenet_real", tmp_path)
    kept = [pair for pair in got if isinstance(pair, ImageText)]
    dropped = [pair for pair in got if isinstance(pair, Rejected)]
    assert sorted(pair.classes for pair in kept) == sorted(tuple(NAMES[i] for i in one) for one in LISTS if one)
    assert {(one.reason, "real_label is [], which has no class" in one.detail) for one in dropped} == {
        ("class_missing", True)
    }
    assert len(dropped) == 2
    wrong = pairs_of("imagenet_real", tmp_path, "imagenet_real/TfdsSource.label = 'original_label'")  # control
    assert sorted(pair.classes for pair in wrong) != sorted(pair.classes for pair in kept)


class SeesGrey:
    """A model that knows the six pictures by their grey, and answers a class for each; `moved` is added to it."""

    def __init__(self, moved: int = 0) -> None:
        self._moved = moved

    def call(self, signature: str, examples) -> dict[str, np.ndarray]:
        assert signature == "evaluate"
        row = tfrecords.parse(examples, ("key", "caption", "image", "evaluation_set"))
        grey = [np.mean(Image.open(io.BytesIO(one)).convert("L")) for one in row["image"].numpy()]
        image = ONE_HOT[[(ANSWERS[round(one / 20)] + self._moved) % 1000 for one in grey]]
        return {
            "image_embedding": image, "text_embedding": image, "caption": row["caption"].numpy(),
            "picture": row["key"].numpy(), "evaluation_set": row["evaluation_set"].numpy(),
            "class_similarity": np.full([len(grey), 1], -np.inf, np.float32), "class_index": np.full(len(grey), -1),
            "logit_scale": np.full(len(grey), 8.0), "logit_bias": np.full(len(grey), -2.0),
        }  # fmt: skip


ONE_HOT = np.eye(1000, dtype=np.float32)
ANSWERS = [998, 4, 5, 6, 0, 1]  # by picture; of LISTS, 998, 5 and 1 are right, 6 is not, and two pictures have no label


def on_real(lists: list[list[int]], folder, *models: SeesGrey) -> list[tuple[int, float]]:
    """(rows, accuracy) of models on planted rows of ReaL, through the sets and the metrics of `pipeline.evaluate`."""
    (folder / "classes.json").write_text(json.dumps(NAMES))
    prepare("imagenet2012_real", "validation", {"real_label": lists, "original_label": LABELS}, folder, [])
    bindings = f"imagenet_real/TfdsSource.data_dir = '{folder}'", f"imagenet_classes = '{folder / 'classes.json'}'"
    (real,) = settings("imagenet_real", *bindings).evaluation_sets
    sets.build(real, "", str(folder / "real"), [])
    names = sets.classes(str(folder / "real"), "imagenet_real")
    labels = LabelSet(tuple(names), ("{}",), ONE_HOT[[int(name.removeprefix("name ")) for name in names]])
    split = sets.split(str(folder / "real"), "imagenet_real")
    found = [scores.measure(one, split, labels, tqdm.tqdm(disable=True), retrieves=False) for one in models]
    return [(one.rows, one.metrics["zero_shot_accuracy"]) for one in found]


def test_pictures_that_a_set_has_twice_count_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.pipeline.test_evaluation_gin.PICTURES", [PICTURES[0], PICTURES[0], *PICTURES[2:]])
    (found,) = on_real([[998], [998], *LISTS[2:]], tmp_path, SeesGrey())
    assert found == (5, 4 / 5)  # of LISTS[2:], 5 and 1 are right, 6 is not, and one picture has no label


def test_a_planted_model_has_its_exact_accuracy_on_real(tmp_path):
    right, off_by_one = on_real(LISTS, tmp_path, SeesGrey(), SeesGrey(1))
    assert right == (4, 3 / 4)
    assert off_by_one == (4, 1 / 4)  # control; 7 is right by chance


def test_control_the_accuracy_on_real_falls_if_empty_rows_are_counted(tmp_path):
    assert on_real([one or [3] for one in LISTS], tmp_path, SeesGrey()) == [(6, 3 / 6)]


@pytest.mark.parametrize(
    ("name", "builder", "split"),
    [
        ("cifar100", "cifar100", "test"),
        ("oxford_pets", "oxford_iiit_pet", "test"),
        ("food101", "food101", "validation"),
    ],
)
def test_other_sets_have_the_builder_s_names(name, builder, split, tmp_path):
    labels = [0, 36, 1, 2, 3, 4]
    fine = [f"fine_{number}" for number in range(100)] if name == "cifar100" else []
    names = prepare(builder, split, {"label": labels}, tmp_path, fine)
    got = pairs_of(name, tmp_path)
    assert sorted(pair.class_name for pair in got) == sorted(names[label].replace("_", " ") for label in labels)


def test_coco_is_karpathy_s_test_split_with_five_captions_a_picture(tmp_path):
    made = tfds.builder("coco_captions", data_dir=str(tmp_path))

    def rows(split: str):
        for number in range(2):
            captions = [{"id": place, "text": f"{split} {number} {place}"} for place in range(5)]
            rest = {name: filled(one, number) for name, one in made.info.features.items()}
            yield number, {**rest, "captions": captions, "objects": [], "image/id": number}

    splits = ("train", "val", "test", "restval")
    assert own_splits(made) >= {*splits}
    made._split_generators = lambda _: {split: rows(split) for split in splits}
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    got = pairs_of("coco", tmp_path)
    assert sorted(pair.captions for pair in got) == [tuple(f"test {n} {k}" for k in range(5)) for n in range(2)]
    other = pairs_of("coco", tmp_path, "coco/TfdsSource.split = 'val'")  # control
    assert {pair.captions[0] for pair in other} == {"val 0 0", "val 1 0"}


def test_a_class_list_of_another_length_is_refused(tmp_path):
    prepare("imagenet_a", "test", {"label": LABELS}, tmp_path, [])
    with pytest.raises(ValueError, match=r"class_names has 2 names, but imagenet_a/\S+ has 1000 classes"):
        pairs_of("imagenet_a", tmp_path, "imagenet_classes = ('a', 'b')")


def test_a_builder_that_is_not_prepared_and_an_unknown_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is 'imagenet_r', but it is not prepared; run: tfds build imagenet_r"):
        pairs_of("imagenet_r", tmp_path)
    with pytest.raises(ValueError, match=r"TfdsSource.builder is 'imagenet_x', but there is no such data set"):
        pairs_of("imagenet_r", tmp_path, "imagenet_r/TfdsSource.builder = 'imagenet_x'")


@pytest.mark.parametrize("name", sorted({path.stem for path in FOLDER.glob("*.gin")} - CONSTANTS))
def test_every_file_resolves(name):
    made = settings(name)
    assert configuration.parse(configuration.to_gin(made), PipelineSettings) == made
    for one in made.evaluation_sets:
        assert one.name.isidentifier()
        assert one.templates == ("{}",) or one.templates[-1] == "{}"
    if name in ("imagenet", "imagenet_real", "objectnet"):
        assert len(made.evaluation_sets[0].templates) == 81
