"""A webdataset loop: reads a tar, shuffles, decodes with Pillow, and resizes. It does not tokenise."""

import numpy as np
import PIL
import protocol
import webdataset
from PIL import Image


def main() -> None:
    work = protocol.arguments()
    side, batch_size = work["side"], work["batch_size"]

    def prepared(sample: tuple[Image.Image, str]) -> tuple[np.ndarray, str]:
        picture, text = sample
        return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)), text

    pairs = webdataset.WebDataset(work["tar"], shardshuffle=False).shuffle(1000).decode("pil").to_tuple("jpg", "txt")
    rows = iter(pairs.map(prepared).repeat().batched(batch_size, partial=False))

    def read() -> None:
        for _ in range(work["rows"] // batch_size):
            pictures, _ = next(rows)
            if np.shape(pictures) != (batch_size, side, side, 3):
                raise ValueError(f"a batch of pictures has the shape {np.shape(pictures)}")

    software = f"webdataset {webdataset.__version__}, Pillow {PIL.__version__}"
    protocol.repeat(read, work["times"], software, work["rows"])


if __name__ == "__main__":
    main()
