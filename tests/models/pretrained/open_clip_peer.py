"""What open_clip and timm compute with a SigLIP model's folder; it runs in an environment of its own.

python tests/models/pretrained/open_clip_peer.py FOLDER INPUTS.npz ANSWERS.npz

The towers are built as open_clip builds SigLIP's, in a tiny size. Both have the tanh GELU, as SigLIP was trained.
"""

import functools
import json
import sys

import numpy as np
import open_clip
import timm
import torch
from safetensors.torch import load_file


def main(folder: str, inputs: str, answers: str) -> None:
    with open(f"{folder}/open_clip_config.json", encoding="utf-8") as file:
        config = json.load(file)["model_cfg"]
    tensors = load_file(f"{folder}/open_clip_model.safetensors")
    width = config["embed_dim"]
    mlp, depth = (sum(name.endswith(end) for name in tensors) for end in (".mlp.fc1.bias", ".attn.qkv.bias"))
    assert mlp == depth + 1  # the MAP head has an MLP, too
    image = timm.create_model(
        config["vision_cfg"]["timm_model_name"],
        img_size=config["vision_cfg"]["image_size"],
        patch_size=tensors["visual.trunk.patch_embed.proj.weight"].shape[-1],
        embed_dim=width,
        depth=depth,
        mlp_ratio=tensors["visual.trunk.blocks.0.mlp.fc1.bias"].shape[0] / width,
        act_layer="gelu_tanh",
        num_classes=0,
    )
    text_config = config["text_cfg"]
    text = open_clip.transformer.TextTransformer(
        context_length=text_config["context_length"],
        vocab_size=text_config["vocab_size"],
        width=text_config["width"],
        heads=text_config["heads"],
        layers=text_config["layers"],
        mlp_ratio=text_config["mlp_ratio"],
        output_dim=width,
        no_causal_mask=True,
        pool_type="last",
        proj_bias=True,
        act_layer=functools.partial(torch.nn.GELU, approximate="tanh"),
        norm_layer=functools.partial(open_clip.transformer.LayerNorm, eps=1e-6),
    )
    for part, prefix in ((image, "visual.trunk."), (text, "text.")):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        part.load_state_dict(own, strict=True)
        part.eval()
    with np.load(inputs) as given, torch.no_grad():
        found = {
            "image_embedding": image(torch.tensor(given["images"].transpose(0, 3, 1, 2).copy())),
            "text_embedding": text(torch.tensor(given["token_ids"]).long()),
        }
    found = {name: torch.nn.functional.normalize(value, dim=-1) for name, value in found.items()}
    logits = found["image_embedding"] @ found["text_embedding"].T
    found["logits"] = logits * tensors["logit_scale"].exp() + tensors["logit_bias"]
    np.savez(answers, **{name: value.numpy() for name, value in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
