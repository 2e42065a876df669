"""big_vision's SigLIP in JAX, from the checkout that the second argument names; the step is that of its trainer."""

import importlib
import os
import sys
import types

import numpy as np
import protocol

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax
import flax.training.checkpoints  # it looks for TensorFlow, and must not find the stand-in
import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import linen


def big_vision(module: str) -> types.ModuleType:
    """Imports a module of the checkout."""
    return importlib.import_module(f"big_vision.{module}")


def main() -> None:
    work = protocol.case()
    sys.path.insert(0, sys.argv[2])
    _stand_in_for_tensorflow()
    model = _model(work)
    pictures, tokens = protocol.batches(work)[0]
    params = jax.jit(model.init)(jax.random.PRNGKey(0), _in_unit_range(pictures), tokens)["params"]
    optimizer = _optimizer(work, params)

    def loss_of(params: dict, pixels: jax.Array, tokens: jax.Array) -> jax.Array:
        images, texts, extras = model.apply({"params": params}, pixels, tokens, train=True)
        logits = jnp.dot(images, texts.T) * extras["t"] + extras["b"]
        signs = -jnp.ones_like(logits) + 2 * jnp.eye(images.shape[0])
        return jnp.mean(-jnp.sum(jax.nn.log_sigmoid(signs * logits), axis=-1))

    def update(state: tuple, pictures: jax.Array, tokens: jax.Array) -> tuple:
        params, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(params, _in_unit_range(pictures), tokens)
        updates, slots = optimizer.update(gradients, slots, params)
        return (optax.apply_updates(params, updates), slots), loss

    state = (params, jax.jit(optimizer.init)(params))
    compiled = jax.jit(update, donate_argnums=0)

    def step(pictures: np.ndarray, tokens: np.ndarray) -> float:
        nonlocal state
        state, loss = compiled(state, pictures, tokens)
        return float(loss)

    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    protocol.run(work, step, parameters, f"big_vision on JAX {jax.__version__}, flax {flax.__version__}")


def _stand_in_for_tensorflow() -> None:
    """big_vision/utils.py opens files with TensorFlow. This script opens none, so it need not wait for that import."""
    for name in ("tensorflow", "tensorflow.io", "tensorflow.io.gfile"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["tensorflow"].io = sys.modules["tensorflow.io"]
    sys.modules["tensorflow.io"].gfile = sys.modules["tensorflow.io.gfile"]


def _in_unit_range(pictures: jax.Array) -> jax.Array:
    return pictures.astype(jnp.float32) / 127.5 - 1


def _model(work: protocol.Case) -> linen.Module:
    return big_vision("models.proj.image_text.two_towers").Model(
        image={
            "patch_size": (work.patch, work.patch),
            "width": work.image_width,
            "depth": work.image_depth,
            "num_heads": work.image_heads,
            "mlp_dim": work.image_mlp,
            "pool_type": "map",
        },
        text={
            "width": work.text_width,
            "depth": work.text_depth,
            "num_heads": work.text_heads,
            "mlp_dim": work.text_mlp,
            "vocab_size": work.vocabulary,
        },
        out_dim=(None, work.image_width),
        temperature_init=work.logit_scale,
        bias_init=work.logit_bias,
    )


def _optimizer(work: protocol.Case, params: dict) -> optax.GradientTransformation:
    config = ml_collections.ConfigDict()
    config.optax_name = "scale_by_adam"
    config.optax = {"b1": work.beta_1, "b2": work.beta_2, "eps": work.epsilon}
    config.lr = work.learning_rate
    config.wd = work.weight_decay * work.learning_rate
    config.grad_clip_norm = work.clip_norm
    config.schedule = {"decay_type": "cosine", "warmup_steps": 100}
    sizes = {"total_steps": 1000, "batch_size": work.batch_size, "data_size": 1000 * work.batch_size}
    transformation, _ = big_vision("optax").make(config, params, sched_kw=sizes)
    return transformation


if __name__ == "__main__":
    main()
