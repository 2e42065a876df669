"""Saves KerasHub's SigLIP with random weights in big_vision's format; it needs Keras 3, so it is its own process.

python tests/models/pretrained/keras_hub_siglip.py WEIGHTS.npz ANSWERS.npz    with TF_USE_LEGACY_KERAS unset
"""

import sys

import keras
import keras_hub
import numpy as np

SIZE, PATCH, LENGTH, WORDS = 32, 8, 7, 50
IMAGE, TEXT = {"hidden_dim": 48, "num_heads": 3}, {"hidden_dim": 32, "num_heads": 2}


def main(weights_path: str, answers_path: str) -> None:
    image = keras_hub.models.SigLIPVisionEncoder(
        patch_size=PATCH, num_layers=2, intermediate_dim=72, image_shape=(SIZE, SIZE, 3), name="vision", **IMAGE
    )
    text = keras_hub.models.SigLIPTextEncoder(
        vocabulary_size=WORDS, embedding_dim=32, num_layers=3, intermediate_dim=56, max_sequence_length=LENGTH,
        projection_dim=48, name="text", **TEXT,
    )  # fmt: skip
    model = keras_hub.models.SigLIPBackbone(image, text)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        start = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(start + generator.normal(0, 0.2, variable.shape))
    model.siglip_head.logit_scale.assign(3.0)
    model.siglip_head.logit_bias.assign(-4.0)
    np.savez(weights_path, **{f"params/{name}": np.array(value) for name, value in parameters(model).items()})

    images = generator.uniform(-1, 1, [4, SIZE, SIZE, 3]).astype(np.float32)
    ids = generator.integers(0, WORDS, [5, LENGTH]).astype(np.int32)
    np.savez(
        answers_path,
        images=images,
        token_ids=ids,
        image_embedding=unit(model.get_vision_embeddings(images)),
        text_embedding=unit(model.get_text_embeddings(ids)),
        logits=model({"images": images[:4], "token_ids": ids[:4]})["vision_logits"],
    )


def parameters(model: keras_hub.models.SigLIPBackbone) -> dict[str, keras.Variable]:
    """{big_vision's name: weight}, derived from KerasHub's layers and not from this project's names."""
    image, text = model.vision_encoder, model.text_encoder
    found = {"t": keras.ops.reshape(model.siglip_head.logit_scale, [1])}
    found["b"] = keras.ops.reshape(model.siglip_head.logit_bias, [1])
    found |= dense("img/embedding", image.embedding.patch_embedding)
    found["img/pos_embedding"] = image.embedding.position_embedding.embeddings[None]
    found |= encoder("img/Transformer", image)
    head = image.head
    found["img/MAPHead_0/probe"] = head.probe
    found |= attention("img/MAPHead_0", head.attention) | norm("img/MAPHead_0/LayerNorm_0", head.layer_norm)
    found |= mlp("img/MAPHead_0", head.mlp)
    found["txt/Embed_0/embedding"] = text.embedding.token_embedding.embeddings
    found["txt/pos_embedding"] = text.embedding.position_embedding.embeddings[None]
    found |= encoder("txt/Encoder_0", text) | dense("txt/head", text.head)
    return found


def encoder(name: str, model: keras.Model) -> dict[str, keras.Variable]:
    found = norm(f"{name}/encoder_norm", model.post_layer_norm)
    for number, layer in enumerate(model.encoder_layers):
        block = f"{name}/encoderblock_{number}"
        found |= norm(f"{block}/LayerNorm_0", layer.layer_norm1) | norm(f"{block}/LayerNorm_1", layer.layer_norm2)
        found |= attention(block, layer.self_attn) | mlp(block, layer.mlp)
    return found


def attention(name: str, layer: keras.layers.MultiHeadAttention) -> dict[str, keras.Variable]:
    name += "/MultiHeadDotProductAttention_0"
    return {
        **dense(f"{name}/query", layer.query_dense),
        **dense(f"{name}/key", layer.key_dense),
        **dense(f"{name}/value", layer.value_dense),
        **dense(f"{name}/out", layer.output_dense),
    }


def mlp(name: str, layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    return {**dense(f"{name}/MlpBlock_0/Dense_0", layer.fc1), **dense(f"{name}/MlpBlock_0/Dense_1", layer.fc2)}


def dense(name: str, layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    return {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}


def norm(name: str, layer: keras.layers.LayerNormalization) -> dict[str, keras.Variable]:
    return {f"{name}/scale": layer.gamma, f"{name}/bias": layer.beta}


def unit(embedding: np.ndarray) -> np.ndarray:
    return np.array(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
