"""What one version of transformers makes of a folder; it runs in an environment of its own (test_transformers.py).

python tests/models/pretrained/transformers_peer.py FOLDER PICTURE.png TEXTS.json ANSWERS.npz SAVED

It writes the tokens, the pixels and, if torch is installed, the logits to ANSWERS.npz. It saves the processor to SAVED.
"""

import importlib.util
import json
import sys

import numpy as np
import transformers
from PIL import Image


def main(folder: str, picture: str, texts: str, answers: str, saved: str) -> None:
    processor = transformers.AutoProcessor.from_pretrained(folder)
    tokenizer, image_processor = processor.tokenizer, processor.image_processor
    with open(texts, encoding="utf-8") as file:
        ids = tokenizer(json.load(file), padding="max_length", truncation=True)["input_ids"]
    with_torch = importlib.util.find_spec("torch") is not None
    pixels = image_processor(Image.open(picture), return_tensors="pt" if with_torch else "np")["pixel_values"]
    found = {
        "token_ids": np.array(ids),
        "pixels": np.array(pixels)[0].transpose(1, 2, 0),
        "resample": np.array(int(image_processor.resample)),
        "length": np.array(tokenizer.model_max_length),
    }
    if with_torch:
        import torch

        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.no_grad():
            answer = model(input_ids=torch.tensor(ids), pixel_values=pixels)
        found |= {
            "logits": answer.logits_per_image.numpy(),
            "image_embedding": answer.image_embeds.numpy(),
            "text_embedding": answer.text_embeds.numpy(),
        }
    np.savez(answers, **found)
    processor.save_pretrained(saved)
    transformers.AutoConfig.from_pretrained(folder).save_pretrained(saved)


if __name__ == "__main__":
    main(*sys.argv[1:])
