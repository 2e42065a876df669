"""Seeded pictures of every format, mode, depth and extra: `FAMILIES[name](draw)` gives (what it is, bytes)."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from tests import picture_writers as writers

Draw = np.random.Generator
Picture = tuple[str, bytes]


def _size(draw: Draw) -> tuple[int, int]:
    return int(draw.integers(1, 50)), int(draw.integers(1, 50))


def _drawn(draw: Draw, mode: str) -> Image.Image:
    """Smooth colours with some noise, or clean noise."""
    size, channels = _size(draw), len(Image.new(mode, (1, 1)).getbands()) if mode not in ("1", "P") else 3
    shape = (7, 5, channels) if draw.random() < 0.7 else (size[1], size[0], channels)
    noise = draw.integers(0, 256, shape, np.uint8)
    coarse = Image.merge(
        mode if mode not in ("1", "P") else "RGB", [Image.fromarray(noise[..., band]) for band in range(channels)]
    ).resize(size)
    return coarse if mode not in ("1", "P") else coarse.quantize(int(draw.integers(2, 200))).convert(mode)


def _saved(picture: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def _exif(draw: Draw) -> tuple[str, dict[str, object]]:
    """Nothing, an orientation, or broken metadata."""
    which = draw.random()
    if which < 0.6:
        return "", {}
    if which < 0.7:
        return " broken exif", {"exif": b"Exif\0\0MM\0*" + draw.bytes(20)}
    exif, orientation = Image.Exif(), int(draw.integers(0, 10))
    exif[0x0112] = orientation
    return f" orientation {orientation}", {"exif": exif.tobytes()}


def jpeg(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "L", "CMYK", "1"]))
    note, options = _exif(draw)
    if mode == "RGB" and draw.random() < 0.2:
        options["keep_rgb"], note = True, note + " keep_rgb"
    elif mode != "L" and draw.random() < 0.8:
        options["subsampling"] = int(draw.integers(0, 3))
    if draw.random() < 0.3:
        options["progressive"], note = True, note + " progressive"
    if draw.random() < 0.3:
        options["restart_marker_blocks"] = int(draw.integers(1, 5))
    image = _saved(_drawn(draw, mode), "JPEG", quality=int(draw.integers(1, 101)), **options)
    if draw.random() < 0.2:
        image, note = image.replace(b"Adobe", b"adobe", 1), note + " Adobe marker spoilt"
    which = draw.random()
    if which < 0.1:
        image, note = image + draw.bytes(30), note + " trailing bytes"
    elif which < 0.2:
        image, note = image[:-2], note + " no end marker"
    elif which < 0.3:
        image, note = image[:-2] + b"\x12" * 9 + image[-2:], note + " bytes before the end marker"
    return f"JPEG {mode}{note}", image


def raw_jpeg(draw: Draw) -> Picture:
    components = int(draw.choice([1, 3, 3, 4]))
    choices = {
        1: [[(1, 1)]],
        3: [[(a, b), (1, 1), (1, 1)] for a in (1, 2, 4) for b in (1, 2)]
        + [[(1, 4), (1, 1), (1, 1)], [(1, 1), (2, 2), (1, 2)]],
        4: [[(1, 1)] * 4, [(2, 2), (1, 1), (1, 1), (2, 2)], [(2, 1), (1, 1), (1, 1), (2, 1)]],
    }[components]
    sampling = choices[draw.integers(len(choices))]
    adobe = [None, 0, 1, 2][draw.integers(4)]
    ids = [(1, 2, 3, 4), (82, 71, 66, 65), (0, 1, 2, 3)][draw.integers(3)]
    image = writers.jpeg(draw, _size(draw), sampling, ids, adobe, int(draw.integers(0, 4)))
    return f"JPEG raw {components} components Adobe {adobe}", image


def mpo(draw: Draw) -> Picture:
    return "MPO", _saved(_drawn(draw, "RGB"), "MPO", save_all=True, append_images=[_drawn(draw, "RGB")])


def png(draw: Draw) -> Picture:
    kinds = [
        (d, c)
        for c, ds in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16)))
        for d in ds
    ]
    depth, colour = kinds[draw.integers(len(kinds))]
    width, height = _size(draw)
    top = 1 << depth
    entries = int(draw.integers(1, min(top, 256) + 1)) if colour == 3 else top
    shape = (height, width, writers.CHANNELS[colour])
    dark = colour in (0, 2) and depth == 16 and draw.random() < 0.3
    samples = draw.integers(0, 256 if dark else entries, shape)
    if draw.random() < 0.3:
        samples[draw.random((height, width)) < 0.5] = samples[0, 0]
    before, after, note = b"", b"", " dark" if dark else ""
    if colour == 3 and draw.random() < 0.2:
        samples, note = draw.integers(0, top, shape), " index beyond the palette"
    palette = writers.png_chunk(b"PLTE", draw.integers(0, 256, 3 * entries, np.uint8).tobytes()) if colour == 3 else b""
    transparent = b""
    if colour in (0, 2, 3) and draw.random() < 0.35:
        alphas = draw.integers(0, 256, draw.integers(1, entries + 1), np.uint8).tobytes() if colour == 3 else b""
        transparent = writers.png_chunk(b"tRNS", alphas or samples[0, 0].astype(">u2").tobytes())
        note += " tRNS"
    for kind, content in (
        (b"gAMA", b"\0\0\xb1\x8f"),
        (b"sRGB", b"\0"),
        (b"cHRM", b"\0\1\2\3" * 8),
        (b"sBIT", b"\1\1\1\1"),
    ):
        if draw.random() < 0.15:
            before += writers.png_chunk(kind, content[: 3 if kind == b"sBIT" and colour == 3 else None])
            note += " " + kind.decode()
    exif = writers.png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    which = draw.random()
    if which < 0.1:
        before, note = before + exif, note + " eXIf"
    elif which < 0.2:
        after, note = exif, " eXIf behind the data" + note
    elif which < 0.25:
        after, transparent, note = transparent, b"", note + " chunks behind the data"
    interlaced = draw.random() < 0.3
    order = palette + transparent if draw.random() < 0.9 else transparent + palette
    image = writers.png(samples, depth, colour, interlaced, before + order, after)
    return f"PNG {depth} bits colour {colour}{' interlaced' if interlaced else ''}{note}", image


def saved_png(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "RGBA", "L", "LA", "P", "1"]))
    note, options = _exif(draw)
    if draw.random() < 0.3:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
        options["pnginfo"], note = text, note + " XMP orientation"
    if draw.random() < 0.3:
        note += " animated"
        options |= {"save_all": True, "append_images": [_drawn(draw, mode)], "default_image": bool(draw.random() < 0.5)}
        first = _drawn(draw, mode)
        options["append_images"] = [first.transpose(Image.Transpose.ROTATE_180)]
        return f"PNG saved {mode}{note}", _saved(first, "PNG", **options)
    return f"PNG saved {mode}{note}", _saved(_drawn(draw, mode), "PNG", **options)


def gif(draw: Draw) -> Picture:
    width, height = _size(draw)
    frames, note = [], ""
    for number in range(int(draw.choice([1, 1, 1, 2, 3]))):
        box = (0, 0, width, height)
        if number or draw.random() < 0.3:
            left, top = int(draw.integers(0, width)), int(draw.integers(0, height))
            box = (left, top, int(draw.integers(1, width + 2 - left)), int(draw.integers(1, height + 2 - top)))
            note += "" if number else " small frame"
        control = (
            writers.gif_control(int(draw.integers(-1, 4)), int(draw.integers(0, 4))) if draw.random() < 0.5 else b""
        )
        note += " control" if control and not number else ""
        frames += [control, writers.gif_frame(draw, box, local=draw.random() < 0.3)]
    palette = draw.random() < 0.9
    note += " animated" if len(frames) > 2 else ""
    return f"GIF{note}{'' if palette else ' no palette'}", writers.gif(draw, (width, height), frames, palette)


def saved_gif(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "L", "P", "1", "RGBA"]))
    return f"GIF saved {mode}", _saved(_drawn(draw, mode), "GIF", interlace=bool(draw.random() < 0.5))


def bmp(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "L", "P", "1", "RGBA"]))
    return f"BMP {mode}", _saved(_drawn(draw, mode), "BMP")


def webp(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "RGBA", "L"]))
    note, options = _exif(draw)
    if draw.random() < 0.3:
        first = _drawn(draw, mode)
        options |= {"save_all": True, "append_images": [first.transpose(Image.Transpose.ROTATE_180)]}
        return f"WebP {mode} animated{note}", _saved(first, "WEBP", **options)
    return f"WebP {mode}{note}", _saved(_drawn(draw, mode), "WEBP", lossless=bool(draw.random() < 0.5), **options)


def saved_tiff(draw: Draw) -> Picture:
    mode = str(draw.choice(["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "LAB", "YCbCr"]))
    compression = str(draw.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]))
    options: dict[str, object] = {"compression": compression}
    if draw.random() < 0.3:
        options["tiffinfo"] = {0x0112: int(draw.integers(1, 9))}
    if draw.random() < 0.2:
        options |= {"save_all": True, "append_images": [_drawn(draw, mode)]}
    if compression in ("tiff_lzw", "tiff_adobe_deflate") and mode in ("RGB", "L") and draw.random() < 0.5:
        options["tiffinfo"] = {317: 2}
    return f"TIFF saved {mode} {compression}", _saved(_drawn(draw, mode), "TIFF", **options)


def tiff(draw: Draw) -> Picture:
    """One channel of any depth and sample format, RGB of 16 bits, and the tag that turns black and white round."""
    width, height = _size(draw)
    order = str(draw.choice(["<", ">"]))
    bits, sample_format = ((8, 1), (16, 1), (16, 2), (32, 1), (32, 2), (32, 3), (12, 1))[draw.integers(7)]
    channels = 3 if (bits, sample_format) == (16, 1) and draw.random() < 0.4 else 1
    look = 2 if channels == 3 else int(draw.choice([0, 1, 1]))
    note = ""
    if sample_format == 3:
        values = draw.random((height, width)).astype(np.float32)
        which = draw.random()
        if which < 0.5:
            values[0, 0], note = [np.nan, np.inf, 1.5, -0.1, 255][draw.integers(5)], " a value outside"
        data = values.astype(f"{order}f4").tobytes()
    elif bits == 12:
        data = writers.packed(draw.integers(0, 4096, (height, width)), 12) if width else b""
    else:
        most = 256 if draw.random() < 0.3 else 1 << bits
        data = draw.integers(0, most, (height, width, channels)).astype(f"{order}u{bits // 8}").tobytes()
    tags = {258: (3, [bits] * channels), 262: (3, [look]), 277: (3, [channels]), 339: (3, [sample_format] * channels)}
    name = f"TIFF {channels} x {bits} bits format {sample_format} look {look}{note}"
    return name, writers.tiff(width, height, data, tags, order)


def ppm(draw: Draw) -> Picture:
    width, height = _size(draw)
    kind = int(draw.integers(1, 7))
    most = 1 if kind in (1, 4) else int(draw.choice([1, 15, 100, 255, 256, 1023, 4095, 65535]))
    samples = draw.integers(0, most + 1, (height, width, 3 if kind in (3, 6) else 1))
    header = f"P{kind}\n# drawn\n{width} {height}\n" + ("" if kind in (1, 4) else f"{most}\n")
    if kind <= 3:
        data = " ".join(map(str, samples.ravel())).encode() + b"\n"
    else:
        data = writers.packed(samples, 1 if kind == 4 else 8 if most < 256 else 16)
    return f"PPM P{kind} of {most}", header.encode() + data


def pfm(draw: Draw) -> Picture:
    width, height = _size(draw)
    values = draw.random((height, width)).astype("<f4") * [1, 1, 300][draw.integers(3)]
    return "PFM", f"Pf\n{width} {height}\n-1.0\n".encode() + values.astype("<f4").tobytes()


FAMILIES: dict[str, Callable[[Draw], Picture]] = {
    one.__name__: one
    for one in (jpeg, raw_jpeg, mpo, png, saved_png, gif, saved_gif, bmp, webp, saved_tiff, tiff, ppm, pfm)
}
