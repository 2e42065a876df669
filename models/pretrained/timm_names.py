"""timm's names of a ViT's tensors, which timm's folders and the image towers of open_clip's SigLIP have."""

from collections.abc import Iterator

from models import settings
from models.pretrained.errors import PretrainedError
from models.pretrained.exchange import Pair, flattened, same, transposed
from models.pretrained.hugging_face import layer_norm, linear
from models.pretrained.layout import Shapes

# The layers of a block: both norms, query, key and value in one, the output, and both layers of the MLP.
_LAYERS = ("norm1", "norm2", "attn.qkv.", "attn.proj", "mlp.fc1", "mlp.fc2")
_QKV = ("query", "key", "value")
# Width, number of blocks and number of heads of timm's sizes.
SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
    "giant": (1408, 40, 16),
    "gigantic": (1664, 48, 16),
    "so400m": (1152, 27, 16),
    "giantopt": (1536, 40, 16),
}


def trunk(prefix: str, config: settings.ImageTowerSettings) -> Iterator[Pair]:
    """The pairs of an image tower with any pooling; `prefix` is "" or ends in a dot."""
    width, ours, kernel = config.width, "image_tower", (config.patch, config.patch, 3, config.width)
    yield Pair(f"{prefix}patch_embed.proj.weight", (f"{ours}/patch_embedding/kernel",), kernel, (3, 2, 0, 1))
    yield flattened(f"{prefix}patch_embed.proj.bias", [f"{ours}/patch_embedding/bias"], (width,))
    has_class = config.pooling == "cls"
    if has_class:
        yield same(f"{prefix}cls_token", f"{ours}/class_token", (1, 1, width))
    yield same(f"{prefix}pos_embed", f"{ours}/position_embedding", (1, config.patches + has_class, width))
    for i in range(config.depth):
        yield from block(f"{prefix}blocks.{i}", f"{ours}/encoder/block_{i}", config, _LAYERS)
    yield from layer_norm(f"{prefix}norm", f"{ours}/encoder/norm", width)
    if config.pooling == "map":
        yield from _map_head(f"{prefix}attn_pool", f"{ours}/head", config)


def block(theirs: str, ours: str, config: settings.TransformerSettings, layers: tuple[str, ...]) -> Iterator[Pair]:
    """The pairs of a block; `layers` names the six layers as _LAYERS does, in the same order."""
    first, second, joined, output, expand, project = (f"{theirs}.{layer}" for layer in layers)
    yield from layer_norm(first, f"{ours}/attention_norm", config.width)
    yield from layer_norm(second, f"{ours}/mlp_norm", config.width)
    yield from _joined(joined, f"{ours}/attention", _QKV, config.width)
    yield from linear(output, f"{ours}/attention/attention_output", config.width, config.width)
    yield from linear(expand, f"{ours}/mlp/expand", config.width, config.mlp_dim)
    yield from linear(project, f"{ours}/mlp/project", config.mlp_dim, config.width)


def _joined(theirs: str, ours: str, names: tuple[str, ...], width: int) -> Iterator[Pair]:
    """Projections that one matrix of theirs holds, one after the other."""
    yield transposed(f"{theirs}weight", [f"{ours}/{name}/kernel" for name in names], width, width)
    yield flattened(f"{theirs}bias", [f"{ours}/{name}/bias" for name in names], (width,))


def _map_head(theirs: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    yield same(f"{theirs}.latent", f"{ours}/probe", (1, 1, config.width))
    yield from linear(f"{theirs}.q", f"{ours}/attention/query", config.width, config.width)
    yield from _joined(f"{theirs}.kv.", f"{ours}/attention", _QKV[1:], config.width)
    yield from linear(f"{theirs}.proj", f"{ours}/attention/attention_output", config.width, config.width)
    yield from layer_norm(f"{theirs}.norm", f"{ours}/norm", config.width)
    yield from linear(f"{theirs}.mlp.fc1", f"{ours}/mlp/expand", config.width, config.mlp_dim)
    yield from linear(f"{theirs}.mlp.fc2", f"{ours}/mlp/project", config.mlp_dim, config.width)


def shape(found: Shapes, name: str, rank: int, path: str) -> tuple[int, ...]:
    """Returns the shape of a tensor that shows sizes of the model; PretrainedError, which names `path`, without it."""
    sizes = found.get(name, ())
    if len(sizes) != rank or not all(sizes):
        have = f"is {list(sizes)}" if name in found else "is missing"
        raise PretrainedError(
            f"{path}: {name} {have}, but must have {rank} dimensions above 0; name another model's folder"
        )
    return sizes


def depth(found: Shapes, prefix: str) -> int:
    """Returns the number of blocks whose names begin with `prefix`."""
    return len({name[len(prefix) :].split(".")[0] for name in found if name.startswith(prefix)})
