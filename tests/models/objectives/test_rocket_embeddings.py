"""What a ClipRocket embeds when it is evaluated: local projectors by running statistics, the mix, and its weight."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from models import run_fn, settings
from models.objectives.two_towers import normalized
from tests.models.objectives import rocket_reference, rockets
from tests.models.objectives.rockets import CONFIGS

ROWS = 6
MODALITIES = rocket_reference.MODALITIES


def differences(objective, arrays, rows, embedded=rocket_reference.served) -> list[float]:
    """The largest difference of each modality's local embeddings from those of the reference."""
    ours = {m: normalized(objective.local_projectors[m](tf.constant(rows))).numpy() for m in MODALITIES}
    return [float(np.abs(ours[m] - embedded(arrays, m, rows)).max()) for m in MODALITIES]


def test_local_projectors_in_evaluation_equal_numpy_with_the_running_statistics():
    objective = rockets.made(CONFIGS["views"], "float64")
    arrays, rows = rockets.arrays(objective, {}), np.random.default_rng(1).normal(size=(ROWS, rockets.WIDTH))
    assert max(differences(objective, arrays, rows)) < 1e-10
    for fault in ("running_mean", "running_variance"):  # controls: as if a statistic still had its first value
        first = np.float64("variance" in fault)
        without = {key: np.full_like(value, first) if fault in key else value for key, value in arrays.items()}
        assert min(differences(objective, without, rows)) > 1e-2, fault

    def of_batch(arrays, modality, rows):
        return rocket_reference.unit(rocket_reference.mlp(arrays, f"local_{modality}_projector", rows[None])[-1][0])

    assert min(differences(objective, arrays, rows, of_batch)) > 1e-2  # control


def test_a_row_in_evaluation_does_not_depend_on_other_rows():
    objective = rockets.made(CONFIGS["views"], "float64")
    rows = tf.constant(np.random.default_rng(1).normal(size=(ROWS, rockets.WIDTH)))
    for layer in objective.local_projectors.values():
        np.testing.assert_allclose(layer(rows)[2:4], layer(rows[2:4]), rtol=1e-12)


def embeddings(objective) -> tuple[np.ndarray, np.ndarray]:
    batch = rockets.batch(objective, ROWS)
    image, text = objective.embed_image(batch["images"]), objective.embed_text(batch["token_ids"])
    return image.numpy(), text.numpy()


def test_the_similarity_of_embeddings_is_the_mix_of_both_similarities():
    objective = rockets.made(CONFIGS["views"])
    batch, arrays = rockets.batch(objective, ROWS), rockets.arrays(objective, {})
    features = {"image": objective.image_tower(batch["images"]), "text": objective.text_tower(batch["token_ids"])}
    z = {m: rocket_reference.unit(rows.numpy() @ arrays[f"{m}_projector/kernel"]) for m, rows in features.items()}
    h = {m: rocket_reference.served(arrays, m, rows.numpy()) for m, rows in features.items()}
    for weight in (0.0, 0.3, 1.0):
        objective.ensemble_weight.assign(weight)
        image, text = embeddings(objective)
        np.testing.assert_allclose(np.linalg.norm(image, axis=1), 1, atol=1e-6)
        mix = weight * z["image"] @ z["text"].T + (1 - weight) * h["image"] @ h["text"].T
        np.testing.assert_allclose(image @ text.T, mix, atol=2e-6)
        wrong = (1 - weight) * z["image"] @ z["text"].T + weight * h["image"] @ h["text"].T
        assert np.abs(wrong - mix).max() > 1e-3  # control


class Rows:
    """Held-out rows with a score of all similarities, which no rounding to ranks hides, in place of the mean recall."""

    def __init__(self, objective) -> None:
        self._objective = objective

    def embed(self):
        return embeddings(self._objective)

    def mean_recall(self, image, text):
        similarity = 5 * image @ text.T
        shares = (scipy.special.softmax(similarity, axis=axis) for axis in (0, 1))
        return float(np.mean([np.diag(share).mean() for share in shares]))


class BestAt(Rows):
    """Held-out rows whose best recall is at a known weight."""

    def __init__(self, objective, best: float) -> None:
        super().__init__(objective)
        self._best = best

    def mean_recall(self, image, _):
        share = np.sum(image[:, : image.shape[1] // 2] ** 2, axis=1).mean()  # the weight that mixed the embedding
        return 1.0 - abs(share - self._best)


@pytest.mark.parametrize("best", [0.0, 0.3, 1.0])
def test_finish_keeps_the_weight_with_the_best_mean_recall_and_tells_all_eleven(best):
    objective = rockets.made(CONFIGS["views"])
    objective.ensemble_weight.assign(1.0)  # as another run could have left it
    told = objective.finish(BestAt(objective, best))
    assert float(objective.ensemble_weight) == pytest.approx(best)
    assert told["ensemble_weight"] == best
    recalls = {key: value for key, value in told.items() if key.startswith("mean_recall_at_weight_")}
    assert len(recalls) == 11
    assert recalls[f"mean_recall_at_weight_{best:.1f}"] == pytest.approx(1.0, abs=1e-6)
    assert told == objective.finish(BestAt(objective, best))


def test_each_recall_that_finish_tells_is_that_of_the_embeddings_with_this_weight():
    """With pictures and texts of the model itself: both are mixed alike, in the order of their halves."""
    objective = rockets.made(CONFIGS["views"])
    held_out = Rows(objective)
    told = objective.finish(held_out)
    for weight in (0.0, 0.3, 1.0):
        objective.ensemble_weight.assign(weight)
        image, text = held_out.embed()
        found, expected = told[f"mean_recall_at_weight_{weight:.1f}"], held_out.mean_recall(image, text)
        assert found == pytest.approx(expected, abs=1e-6)
        swapped = np.concatenate(np.split(text, 2, axis=-1)[::-1], axis=-1)
        assert abs(held_out.mean_recall(image, swapped) - expected) > 1e-3  # control
    assert abs(told["mean_recall_at_weight_0.3"] - told["mean_recall_at_weight_0.7"]) > 1e-3  # control


def test_a_fixed_weight_is_kept():
    objective = rockets.made(rockets.config(ensemble_weight=0.25))
    assert not objective.finishes
    assert float(objective.ensemble_weight) == 0.25


def test_the_hash_of_a_run_has_the_held_out_rows_only_if_they_choose_the_weight(tmp_path):
    vocabulary = tmp_path / "vocabulary"
    vocabulary.touch()

    def fingerprints(**change) -> set[str]:
        objective = rockets.config(**change)
        runs = [
            settings.TrainingSettings(objective, logging=settings.LoggingSettings(7, held_out_rows=n)) for n in (8, 9)
        ]
        return {run_fn.fingerprint(run, [], str(vocabulary), held_out_patterns=[str(vocabulary)]) for run in runs}

    assert len(fingerprints()) == 2
    assert len(fingerprints(ensemble_weight=0.25)) == 1
