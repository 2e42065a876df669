"""TfdsSource on a data set that the test prepares."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds

from beam.sources.tfds import TfdsSource
from tests.beam.sources.test_sources import PAIRS, read


class Tiny(tfds.core.GeneratorBasedBuilder):
    """A data set with captions, in the layout of coco_captions, and classes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        captions = tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()})
        label = tfds.features.ClassLabel(names=["red_disc", "other"])
        features = {"image": tfds.features.Image(encoding_format="png"), "captions": captions, "label": label}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, _) -> dict:
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number, (image, alt, text) in enumerate(PAIRS):
            captions = [{"id": i, "text": one} for i, one in enumerate((alt, text))]
            yield number, {"image": io.BytesIO(image), "captions": captions, "label": number % 2}


def test_tfds_gives_captions_or_turns_classes_into_captions(tmp_path):
    builder = Tiny(data_dir=tmp_path)
    builder.download_and_prepare()
    source = TfdsSource(str(builder.data_path))
    pairs, rejected = read(source)
    assert not rejected
    assert {(p.image, p.caption, p.more_captions) for p in pairs} == {(i, a, (t,)) for i, a, t in PAIRS}
    assert pairs[0].position.startswith("tiny/1.0.0:tiny-train.tfrecord-00000-of-00001__")
    assert len(source.fingerprint()) == 64

    templates = ("a photo of a {}", "a {} ({})")
    classes, _ = read(TfdsSource(str(builder.data_path), templates=templates, split="train[:6]"))
    assert len(classes) == 6
    assert {(p.class_name, p.caption, p.more_captions) for p in classes} == {
        ("red disc", "a photo of a red disc", ("a red disc (red disc)",)),
        ("other", "a photo of a other", ("a other (other)",)),
    }
    words = TfdsSource(str(builder.data_path), templates=templates, class_names=("scarlet disc", "thing"))
    assert {p.class_name for p in read(words)[0]} == {"scarlet disc", "thing"}
    with pytest.raises(ValueError, match=r"class_names has 1 names, but tiny.* has 2 classes"):
        TfdsSource(str(builder.data_path), templates=templates, class_names=("one",)).fingerprint()
    with pytest.raises(ValueError, match=r"TfdsSource.split is 'test', but must be of train"):
        TfdsSource(str(builder.data_path), split="test").fingerprint()
    with pytest.raises(ValueError, match=r"TfdsSource.label is 'image', but must be a class label"):
        TfdsSource(str(builder.data_path), templates=templates, label="image").fingerprint()
