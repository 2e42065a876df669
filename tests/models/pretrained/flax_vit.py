"""Random supervised ViTs in the layouts of public .npz files, and their forward pass in NumPy float64.

Names and layers are those of vision_transformer (AugReg) and big_vision; no code of models/ has a part in them.
"""

import numpy as np

WIDTH, HEADS, MLP, PATCH, GRID, DEPTH = 24, 3, 40, 8, 3, 2
SIZE = PATCH * GRID
OLD = ("LayerNorm_0", "MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
NEW = ("LayerNorm_0", "MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0")
OLD_POSITIONS = "Transformer/posembed_input/pos_embedding"


def tensors(layers=OLD, positions: str = OLD_POSITIONS, has_class: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors, biases and norms included; the layers of a block are named `layers`."""
    first, attention, second, mlp = layers
    head = WIDTH // HEADS
    shapes = {
        "embedding/kernel": (PATCH, PATCH, 3, WIDTH),
        "embedding/bias": (WIDTH,),
        positions: (1, GRID**2 + (has_class and positions != "pos_embedding"), WIDTH),
        "Transformer/encoder_norm/scale": (WIDTH,),
        "Transformer/encoder_norm/bias": (WIDTH,),
        "pre_logits/kernel": (WIDTH, WIDTH),
        "pre_logits/bias": (WIDTH,),
        "head/kernel": (WIDTH, 7),
        "head/bias": (7,),
    }
    if has_class:
        shapes["cls"] = (1, 1, WIDTH)
    for block in (f"Transformer/encoderblock_{i}" for i in range(DEPTH)):
        for norm in (first, second):
            shapes |= {f"{block}/{norm}/scale": (WIDTH,), f"{block}/{norm}/bias": (WIDTH,)}
        for name in ("query", "key", "value"):
            shapes[f"{block}/{attention}/{name}/kernel"] = (WIDTH, HEADS, head)
            shapes[f"{block}/{attention}/{name}/bias"] = (HEADS, head)
        shapes |= {f"{block}/{attention}/out/kernel": (HEADS, head, WIDTH), f"{block}/{attention}/out/bias": (WIDTH,)}
        shapes |= {f"{block}/{mlp}/Dense_0/kernel": (WIDTH, MLP), f"{block}/{mlp}/Dense_0/bias": (MLP,)}
        shapes |= {f"{block}/{mlp}/Dense_1/kernel": (MLP, WIDTH), f"{block}/{mlp}/Dense_1/bias": (WIDTH,)}
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def torch_norm(file: dict[str, np.ndarray], theirs: str, ours: str) -> dict[str, np.ndarray]:
    """A LayerNorm in torch's names."""
    return {f"{theirs}.weight": file[f"{ours}/scale"], f"{theirs}.bias": file[f"{ours}/bias"]}


def torch_dense(file: dict[str, np.ndarray], theirs: str, ours: str) -> dict[str, np.ndarray]:
    """A dense layer, or the output of an attention, in torch's names and orders: [outputs, inputs]."""
    kernel = file[f"{ours}/kernel"]
    return {f"{theirs}.weight": kernel.reshape(-1, kernel.shape[-1]).T, f"{theirs}.bias": file[f"{ours}/bias"]}


def pictures(size: int = SIZE) -> np.ndarray:
    """Random pixels in [-1, 1], [2, size, size, 3]."""
    return np.random.default_rng(1).uniform(-1, 1, [2, size, size, 3]).astype(np.float32)


def forward(file: dict[str, np.ndarray], images: np.ndarray, layers=OLD, positions: str = OLD_POSITIONS) -> np.ndarray:
    """What the tower pools, [N, WIDTH]: the class token if the file has one, otherwise the mean (2010.11929, eq. 1-4).

    The pictures may have another size than SIZE, if the position embeddings have as many patches.
    """
    given = {name: value.astype(np.float64) for name, value in file.items()}
    grid = images.shape[1] // PATCH
    cut = images.astype(np.float64).reshape(-1, grid, PATCH, grid, PATCH, 3)
    tokens = np.einsum("nipjqc,pqcd->nijd", cut, given["embedding/kernel"]) + given["embedding/bias"]
    tokens = tokens.reshape(len(images), grid**2, WIDTH)
    if positions == "pos_embedding":
        tokens = tokens + given[positions]
    if "cls" in given:
        tokens = np.concatenate([np.tile(given["cls"], [len(images), 1, 1]), tokens], axis=1)
    if positions != "pos_embedding":
        tokens = tokens + given[positions]
    first, attention, second, mlp = layers
    for block in (f"Transformer/encoderblock_{i}" for i in range(DEPTH)):
        tokens = tokens + _attention(given, f"{block}/{attention}", _norm(given, f"{block}/{first}", tokens))
        tokens = tokens + _mlp(given, f"{block}/{mlp}", _norm(given, f"{block}/{second}", tokens))
    tokens = _norm(given, "Transformer/encoder_norm", tokens)
    return tokens[:, 0] if "cls" in given else tokens.mean(axis=1)


def _norm(given: dict[str, np.ndarray], name: str, tokens: np.ndarray) -> np.ndarray:
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return centred / deviation * given[f"{name}/scale"] + given[f"{name}/bias"]


def _attention(given: dict[str, np.ndarray], name: str, tokens: np.ndarray) -> np.ndarray:
    query, key, value = (
        np.einsum("nld,dhk->nhlk", tokens, given[f"{name}/{one}/kernel"]) + given[f"{name}/{one}/bias"][:, None]
        for one in ("query", "key", "value")
    )
    scores = np.einsum("nhlk,nhmk->nhlm", query, key) / np.sqrt(WIDTH // HEADS)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    attended = np.einsum("nhlm,nhmk->nlhk", weights, value)
    return np.einsum("nlhk,hkd->nld", attended, given[f"{name}/out/kernel"]) + given[f"{name}/out/bias"]


def _mlp(given: dict[str, np.ndarray], name: str, tokens: np.ndarray) -> np.ndarray:
    hidden = tokens @ given[f"{name}/Dense_0/kernel"] + given[f"{name}/Dense_0/bias"]
    hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    return hidden @ given[f"{name}/Dense_1/kernel"] + given[f"{name}/Dense_1/bias"]
