"""Reads varints: whole numbers of 7 bits a byte, lowest first, as protobuf, Thrift and Parquet write them."""


def read(content: bytes | memoryview, place: int, most_bytes: int = 10) -> tuple[int, int]:
    """Returns the number at `place`, and the place after it.

    Args:
      content: the bytes.
      place: of the number's first byte.
      most_bytes: largest length of a number.

    Raises:
      IndexError: the content ends within the number.
      EOFError: the number is longer.
    """
    value = 0
    for number in range(most_bytes):
        byte = content[place + number]
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, place + number + 1
    raise EOFError(f"a number has more than {most_bytes} bytes")
