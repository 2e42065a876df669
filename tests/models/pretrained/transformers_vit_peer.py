"""What transformers makes of a ViT's folder; it runs in an environment of its own (test_hugging_face_vit.py).

python tests/models/pretrained/transformers_vit_peer.py FOLDER PIXELS.npy ANSWERS.npz SAVED

It writes the class token after the last norm to ANSWERS.npz, and saves the model as a classifier to SAVED.
"""

import sys

import numpy as np
import torch
import transformers


def main(folder: str, pixels: str, answers: str, saved: str) -> None:
    images = torch.tensor(np.load(pixels).transpose(0, 3, 1, 2).copy())
    model, info = transformers.ViTModel.from_pretrained(folder, output_loading_info=True)
    unused = [str(key) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[kind]]
    with torch.no_grad():
        hidden = model.eval()(images).last_hidden_state
    np.savez(answers, output=hidden[:, 0].numpy(), unused=np.array(unused, dtype=np.str_))
    transformers.ViTForImageClassification.from_pretrained(folder).save_pretrained(saved)
    transformers.AutoImageProcessor.from_pretrained(folder).save_pretrained(saved)


if __name__ == "__main__":
    main(*sys.argv[1:])
