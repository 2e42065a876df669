"""What timm makes of an AugReg .npz file; it runs in an environment of its own (test_vision_transformer.py).

python tests/models/pretrained/timm_vit_peer.py FILE.npz INPUTS.npz OUTPUT.npy

timm itself reads the file. The script writes the class token after the last norm. Layers have the tanh GELU, as in JAX.
"""

import sys

import numpy as np
import timm
import torch


def main(file: str, inputs: str, output: str) -> None:
    with np.load(inputs) as given:
        images, heads = given["images"], int(given["heads"])
    with np.load(file) as given:
        patch, _, _, width = given["embedding/kernel"].shape
        mlp = given["Transformer/encoderblock_0/MlpBlock_3/Dense_0/bias"].shape[0]
        depth = sum(name.endswith("/MlpBlock_3/Dense_0/bias") for name in given)
        classes = given["head/bias"].shape[0]
    model = timm.models.vision_transformer.VisionTransformer(
        img_size=images.shape[1],
        patch_size=patch,
        num_classes=classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp / width,
        act_layer="gelu_tanh",
    )
    model.load_pretrained(file)
    with torch.no_grad():
        tokens = model.eval().forward_features(torch.tensor(images.transpose(0, 3, 1, 2).copy()))
    np.save(output, tokens[:, 0].numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
