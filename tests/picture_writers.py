"""Writers of pictures in the forms that Pillow cannot write. All draw from a generator, so a seed gives the bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's colour types
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def packed(samples: np.ndarray, depth: int, order: str = ">") -> bytes:
    """Rows of whole numbers, [H, ...] -> bytes; each row begins with a new byte."""
    rows = samples.reshape(len(samples), -1)
    if depth >= 8:
        return rows.astype(f"{order}u{depth // 8}").tobytes()
    bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    samples: np.ndarray,
    depth: int = 8,
    colour: int = 2,
    interlaced: bool = False,
    before: bytes = b"",
    after: bytes = b"",
    rows_left: float = 1.0,
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of samples, [H, W, channels]; its clean zlib stream holds the share `rows_left` of the rows' bytes."""

    def filtered(part: np.ndarray) -> bytes:
        rows = packed(part, depth)
        step = len(rows) // len(part)
        return b"".join(b"\0" + rows[start : start + step] for start in range(0, len(rows), step))

    parts = [samples[y::dy, x::dx] for x, y, dx, dy in _PASSES] if interlaced else [samples]
    raw = b"".join(filtered(part) for part in parts if part.size)
    width, height = size or samples.shape[1::-1]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = png_chunk(b"IDAT", zlib.compress(raw[: int(rows_left * len(raw))]))
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    return start + before + data + after + png_chunk(b"IEND", b"")


def gif_frame(
    draw: np.random.Generator, box: tuple[int, int, int, int], local: bool = False, pixels: int = -1
) -> bytes:
    """A frame (left, top, width, height) of noise in four colours; its stream ends after `pixels` pixels."""
    left, top, width, height = box
    codes = []
    for number, value in enumerate(draw.integers(0, 4, width * height if pixels < 0 else pixels)):
        codes += [4] * (number % 2 == 0) + [int(value)]  # clears the table so often that codes keep three bits
    bits = "".join(f"{code:03b}"[::-1] for code in [*codes, 5])
    stream = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(stream[at : at + 255])]) + stream[at : at + 255] for at in range(0, len(stream), 255))
    palette = draw.integers(0, 256, 12, np.uint8).tobytes() if local else b""
    flags = 0x81 if local else 0
    return b"," + struct.pack("<HHHHB", left, top, width, height, flags) + palette + b"\2" + blocks + b"\0"


def gif(draw: np.random.Generator, screen: tuple[int, int], frames: list[bytes], palette: bool = True) -> bytes:
    colours = draw.integers(0, 256, 12, np.uint8).tobytes() if palette else b""
    header = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81 if palette else 0, 0, 0)
    return header + colours + b"".join(frames) + b";"


def gif_control(transparent: int, disposal: int = 0) -> bytes:
    return b"!\xf9\4" + bytes([disposal << 2 | (transparent >= 0), 0, 0, max(transparent, 0)]) + b"\0"


def tiff(width: int, height: int, data: bytes, tags: dict[int, tuple[int, list[int]]], order: str = "<") -> bytes:
    """An uncompressed TIFF in one strip; `tags` is {tag: (type 3 or 4, values)}."""
    start = 8 + len(data) + len(data) % 2
    basic = {256: (4, [width]), 257: (4, [height]), 259: (3, [1]), 273: (4, [8]), 278: (4, [height])}
    entries, extra = b"", b""
    merged = basic | {279: (4, [len(data)])} | tags
    after = start + 2 + 12 * len(merged) + 4
    for tag, (kind, values) in sorted(merged.items()):
        content = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(content) > 4:
            content, place = struct.pack(order + "I", after + len(extra)), content
            extra += place
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    directory = struct.pack(order + "H", len(merged)) + entries + struct.pack(order + "I", 0)
    return head + data.ljust(start - 8, b"\0") + directory + extra


def _standard_tables() -> tuple[bytes, dict[int, dict[int, str]]]:
    """The tables of every Pillow JPEG: their segments, and {class and number: {symbol: bits}}."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=90)
    content, place, segments, codes = stream.getvalue(), 2, b"", {}
    while content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place : place + 2 + length]
        if segment[1] in (0xC4, 0xDB):
            segments += segment
        if segment[1] == 0xC4:
            counts, symbols, code, table = segment[5:21], iter(segment[21:]), 0, {}
            for bits, count in enumerate(counts, start=1):
                for _ in range(count):
                    table[next(symbols)] = f"{code:0{bits}b}"
                    code += 1
                code <<= 1
            codes[segment[4]] = table
        place += 2 + length
    return segments, codes


_TABLES, _CODES = _standard_tables()


def jpeg(
    draw: np.random.Generator,
    size: tuple[int, int],
    sampling: list[tuple[int, int]],
    ids: tuple[int, ...] = (1, 2, 3, 4),
    adobe: int | None = None,
    restart: int = 0,
    share: float = 1.0,
) -> bytes:
    """A baseline JPEG of random coefficients with any sampling factors and ids; `share` of its scan stays."""
    across, down = (max(factors) for factors in zip(*sampling, strict=True))
    units = -(-size[0] // (8 * across)) * -(-size[1] // (8 * down))
    scan, bits, last = b"", "", [0] * len(sampling)

    def flushed(text: str) -> bytes:
        text += "1" * (-len(text) % 8)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")

    for unit in range(units):
        if restart and unit and unit % restart == 0:
            scan += flushed(bits) + bytes((0xFF, 0xD0 + (unit // restart - 1) % 8))
            bits, last = "", [0] * len(sampling)
        for component, (horizontal, vertical) in enumerate(sampling):
            for _ in range(horizontal * vertical):
                level = int(draw.integers(-300, 300))
                bits += _symbol(0, level - last[component]) + _coefficients(draw)
                last[component] = level
    scan += flushed(bits)
    frame = struct.pack(">BHHB", 8, size[1], size[0], len(sampling))
    chosen = ids[: len(sampling)]
    frame += b"".join(bytes((i, h << 4 | v, 0)) for i, (h, v) in zip(chosen, sampling, strict=True))
    header = bytes([len(sampling)]) + b"".join(bytes((i, 0)) for i in chosen) + b"\0\x3f\0"
    extra = _segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe)) if adobe is not None else b""
    extra += _segment(0xDD, struct.pack(">H", restart)) if restart else b""
    body = scan[: int(share * len(scan))].rstrip(b"\xff")
    return b"\xff\xd8" + extra + _TABLES + _segment(0xC0, frame) + _segment(0xDA, header) + body + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _symbol(table: int, value: int, zeros: int = 0) -> str:
    category = abs(value).bit_length()
    level = value if value >= 0 else value + (1 << category) - 1
    return _CODES[table][zeros << 4 | category] + (f"{level:0{category}b}" if category else "")


def _coefficients(draw: np.random.Generator) -> str:
    """Up to four of the first coefficients behind the mean, and the end of the block."""
    values = draw.integers(-20, 20, draw.integers(0, 5))
    return "".join(_symbol(0x10, int(value) or 1) for value in values) + _CODES[0x10][0]
