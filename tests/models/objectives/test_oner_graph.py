"""A term of weight 0 adds no operation to the graph of Oner: each term has its own passes and products."""

import numpy as np
import pytest
import tensorflow as tf

from models import objectives
from models.distribution.collectives import OneDevice
from models.objectives import oner as oner_module
from tests.models.objectives import oners
from tests.models.objectives.oners import CONFIGS

ROWS = 5


def operations(objective: objectives.Objective) -> list[str]:
    """Names of the operations of a step's graph without its gradient."""

    @tf.function(autograph=False)
    def step(batch):
        return objective.loss(objective.encode(batch), OneDevice())[0]

    rows = {key: value for key, value in oners.batch(ROWS).items() if objective.views.seeds or key != "seeds"}
    graph = step.get_concrete_function(rows).graph
    return [operation.type for operation in graph.get_operations()]


def test_a_term_of_weight_zero_adds_no_operation():
    itc = operations(oners.made(CONFIGS["itc"]))
    both = operations(oners.made(oners.config(itc=1.0, cmc=1.0)))
    masked = operations(oners.made(oners.config(itc=1.0, mlm=1.0)))
    assert len(itc) < len(both)
    assert "While" not in " ".join(itc)
    assert "While" in " ".join(masked)  # control: masks are drawn row by row
    products = [one.count("MatMul") + one.count("BatchMatMulV2") for one in (itc, both)]
    per_pass = 2 * 6 + 1  # of a block: Q, K and V at once, scores, values, output and two of the MLP; the projection
    assert products[0] == 4 * per_pass + 2 * 2  # two passes of each tower; two products of each contrast
    assert products[1] == 5 * per_pass + 2 * 3


@pytest.mark.parametrize(
    ("weights", "passes", "keys"),
    [
        # The passes of the online tower and of its copy; the keys that each contrast compares with, in their order.
        ({"itc": 1.0}, 4, ["text", "image"]),
        ({"xmc": 1.0}, 4, ["mixed", "mixed"]),
        ({"xmc": 1.0, "mix_queries": True}, 4, ["mixed"]),
        ({"cmc": 1.0}, 3, ["mixed"]),
        ({"itc": 1.0, "xmc": 1.0}, 4, ["text", "image", "mixed", "mixed"]),
    ],
)
def test_each_contrast_has_its_own_products_and_no_other(weights, passes, keys, monkeypatch):
    objective, compared = oners.made(oners.config(**weights)), []
    usual = oner_module.one_way_softmax_loss

    def noted(queries: tf.Tensor, against: tf.Tensor, *arguments: object, **options: object) -> tf.Tensor:
        compared.append(against)
        return usual(queries, against, *arguments, **options)

    monkeypatch.setattr(oner_module, "one_way_softmax_loss", noted)
    types = operations(objective)
    per_pass = 2 * 6 + 1
    assert types.count("MatMul") + types.count("BatchMatMulV2") == passes * per_pass + 2 * len(keys)
    compared.clear()
    encoded = objective.encode(oners.batch(ROWS))
    objective.loss(encoded, OneDevice())
    image, text = encoded["key_image"], encoded["key_text"]
    by_name = {"image": image, "text": text, "mixed": tf.nn.l2_normalize((image + text) / 2, axis=-1)}
    for found, key in zip(compared, keys, strict=True):
        np.testing.assert_allclose(found, by_name[key], atol=1e-12, err_msg=key)
