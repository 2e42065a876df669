"""What timm makes of its own folder of a ViT; it runs in an environment of its own (test_timm_vit.py).

python tests/models/pretrained/timm_folder_peer.py FOLDER PIXELS.npy OUTPUT.npy SAVED

It writes what the model gives to its classifier to OUTPUT.npy, and saves the model again, as for the Hub, to SAVED.
"""

import sys

import numpy as np
import timm
import torch


def main(folder: str, pixels: str, output: str, saved: str) -> None:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        features = model.forward_features(torch.tensor(np.load(pixels).transpose(0, 3, 1, 2).copy()))
        np.save(output, model.forward_head(features, pre_logits=True).numpy())
    timm.models.save_for_hf(model, saved, safe_serialization=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
