"""open_clip, called in this process: Pillow decodes, its transform resizes, and its model embeds pictures."""

import io

import open_clip
import protocol
import torch
from open_clip.transform import image_transform
from PIL import Image
from train_open_clip import siglip


def main() -> None:
    work = protocol.arguments()
    case = protocol.Case(**work["case"])
    torch.set_num_threads(case.threads)
    model = siglip(case).eval()
    half = (0.5, 0.5, 0.5)
    transform = image_transform(case.image_size, is_train=False, mean=half, std=half, resize_mode="squash")
    pictures = protocol.pictures(work["pictures"], work["rows"])

    @torch.inference_mode()
    def embed() -> None:
        pixels = torch.stack([transform(Image.open(io.BytesIO(picture))) for picture in pictures])
        if model.encode_image(pixels, normalize=True).numpy().shape != (work["rows"], case.image_width):
            raise ValueError("the embeddings have another shape")

    software = f"open_clip {open_clip.__version__}, torch {torch.__version__}"
    protocol.repeat(embed, work["times"], software, work["rows"])


if __name__ == "__main__":
    main()
