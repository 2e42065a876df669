"""Hugging Face transformers, called in this process: Pillow decodes, its processor resizes, its model embeds."""

import io

import protocol
import torch
import transformers
from PIL import Image
from train_transformers import siglip
from transformers import SiglipImageProcessor


def main() -> None:
    work = protocol.arguments()
    case = protocol.Case(**work["case"])
    torch.set_num_threads(case.threads)
    model = siglip(case).eval()
    side = {"height": case.image_size, "width": case.image_size}
    processor = SiglipImageProcessor(size=side)
    pictures = protocol.pictures(work["pictures"], work["rows"])

    @torch.inference_mode()
    def embed() -> None:
        decoded = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
        pixels = processor(images=decoded, return_tensors="pt")["pixel_values"]
        pooled = model.vision_model(pixel_values=pixels).pooler_output
        if torch.nn.functional.normalize(pooled, dim=-1).numpy().shape != (work["rows"], case.image_width):
            raise ValueError("the embeddings have another shape")

    software = f"transformers {transformers.__version__}, torch {torch.__version__}"
    protocol.repeat(embed, work["times"], software, work["rows"])


if __name__ == "__main__":
    main()
