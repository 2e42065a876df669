"""Names and shapes of SigLIP's variables, computed from settings: `Checkpoint.weights` has exactly these."""

from models import settings

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def shapes(config: settings.SiglipSettings, vocabulary_size: int) -> Shapes:
    """Returns {name of the variable, as models.optimizers.parameters.name gives it: shape}."""
    image, text = config.image_tower, config.text_tower
    return {
        "log_scale": (),
        "bias": (),
        **image_tower_shapes(image),
        **_under("text_tower", _text_tower(text, vocabulary_size, image.width)),
    }


def image_tower_shapes(config: settings.ImageTowerSettings) -> Shapes:
    """Returns the shapes of the image tower's variables, which `shapes` has, too."""
    return _under("image_tower", _image_tower(config))


def _image_tower(config: settings.ImageTowerSettings) -> Shapes:
    width, has_class = config.width, config.pooling == "cls"
    return {
        "position_embedding": (1, config.patches + has_class, width),
        **({"class_token": (1, 1, width)} if has_class else {}),
        "patch_embedding/kernel": (config.patch, config.patch, 3, width),
        "patch_embedding/bias": (width,),
        **_under("encoder", _encoder(config)),
        **(_under("head", _map_head(config)) if config.pooling == "map" else {}),
    }


def _text_tower(config: settings.TextTowerSettings, vocabulary_size: int, embedding_dim: int) -> Shapes:
    width, rank = config.width, config.bottleneck or config.width
    return {
        "position_embedding": (1, config.length, width),
        "token_embedding/embeddings": (vocabulary_size, rank),
        **({"token_projection/kernel": (rank, width)} if config.bottleneck else {}),
        **_under("encoder", _encoder(config)),
        **_dense("head", width, embedding_dim),
    }


def _encoder(config: settings.TransformerSettings) -> Shapes:
    block = {
        **_norm("attention_norm", config.width),
        **_attention(config),
        **_norm("mlp_norm", config.width),
        **_mlp(config),
    }
    blocks = {f"block_{i}/{name}": shape for i in range(config.depth) for name, shape in block.items()}
    return {**blocks, **_norm("norm", config.width)}


def _map_head(config: settings.TransformerSettings) -> Shapes:
    return {"probe": (1, 1, config.width), **_attention(config), **_norm("norm", config.width), **_mlp(config)}


def _attention(config: settings.TransformerSettings) -> Shapes:
    width, heads = config.width, config.heads
    projections = {
        f"attention/{name}/{part}": (width, heads, width // heads) if part == "kernel" else (heads, width // heads)
        for name in ("query", "key", "value")
        for part in ("kernel", "bias")
    }
    output = "attention/attention_output"
    return {**projections, f"{output}/kernel": (heads, width // heads, width), f"{output}/bias": (width,)}


def _mlp(config: settings.TransformerSettings) -> Shapes:
    return _under(
        "mlp", {**_dense("expand", config.width, config.mlp_dim), **_dense("project", config.mlp_dim, config.width)}
    )


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}/gamma": (width,), f"{name}/beta": (width,)}


def _dense(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _under(prefix: str, inner: Shapes) -> Shapes:
    return {f"{prefix}/{name}": shape for name, shape in inner.items()}
