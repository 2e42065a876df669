"""Checks the sizes that a Parquet file states before pyarrow reads it: pyarrow trusts them, and may take all memory."""

import struct
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from beam.sources.limits import Limits
from beam.sources.parquet import levels as parquet_levels
from beam.sources.parquet import thrift
from beam.sources.rows.raw import InvalidRow

_END = struct.Struct("<I4s")
_START_BYTES = 4096  # of a page, in which its header usually lies
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
_FREE_ROWS = 100_000  # of a row group, whatever its size
_LEAST_BYTES = {"BYTE_ARRAY": 4, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}  # of a plain value


class Page(NamedTuple):
    """A page: its place in the file, and what its header says; sizes in bytes."""

    place: int
    kind: int
    uncompressed: int
    compressed: int
    values: int
    details: dict[int, Any]


class GroupSize(NamedTuple):
    """What the wanted columns of a row group take, as their pages say (bytes), and the values of the longest row."""

    compressed: int
    uncompressed: int
    dictionaries: int
    longest: int


def require_footer(file: IO[bytes], limits: Limits) -> None:
    """Checks the length of the footer.

    Raises:
      EOFError: the file has no whole footer.
      InvalidRow: the footer is too large.
    """
    size = file.seek(0, 2)
    if size < 12:
        raise EOFError(f"the file has {size} bytes, too few for Parquet")
    file.seek(size - _END.size)
    length, magic = _END.unpack(file.read(_END.size))
    file.seek(0)
    if magic == b"PARE":
        raise EOFError("the footer is encrypted, which is not supported; decrypt the file")
    if magic != b"PAR1" or length > size - 12:
        raise EOFError("the file does not end with a Parquet footer; it is cut short, or no Parquet file")
    if length > limits.footer_bytes:
        detail = f"the footer has {length} bytes, but may have {limits.footer_bytes} (Limits.footer_bytes)"
        raise InvalidRow("footer_too_large", detail + "; no row of the file is read")


def require_group(file: IO[bytes], metadata: Any, group: int, wanted: list[str], limits: Limits) -> GroupSize:
    """Checks the pages of the wanted columns of a row group; returns their sizes.

    Args:
      file: the file.
      metadata: pyarrow's FileMetaData.
      group: number of the row group.
      wanted: names of the columns that will be read.
      limits: of pages and rows.

    Raises:
      EOFError: the pages do not fit the file or each other.
      InvalidRow: a page is too large, or the group has far more rows than bytes.
    """
    end = file.seek(0, 2)
    row_group = metadata.row_group(group)
    compressed = uncompressed = dictionaries = 0
    longest = 1
    for number in range(row_group.num_columns):
        chunk = row_group.column(number)
        if not any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in wanted):
            continue
        pages = list(_pages(file, chunk, end, limits))
        data = [page for page in pages if page.kind in (_DATA, _DATA_V2)]
        values = rows = sum(page.values for page in data)
        if levels := metadata.schema.column(number).max_repetition_level:
            rows, length = _rows(data, file, chunk, levels, row_group.num_rows)
            longest = max(longest, length)
        if (values, rows) != (chunk.num_values, row_group.num_rows):
            raise EOFError(
                f"the pages of column {chunk.path_in_schema} have {values} values and {rows} rows, but the footer says "
                f"{chunk.num_values} and {row_group.num_rows}"
            )
        if longest > limits.values:
            detail = f"a row has {longest} values in column {chunk.path_in_schema}, but may have {limits.values}"
            raise InvalidRow("too_many_values", f"{detail} (Limits.values); no row of the group is read")
        compressed += chunk.total_compressed_size
        uncompressed += sum(page.uncompressed for page in pages)
        dictionaries += sum(page.uncompressed for page in pages if page.kind == _DICTIONARY)
    most = _FREE_ROWS + limits.expansion * compressed
    if row_group.num_rows > most:
        detail = f"the row group has {row_group.num_rows} rows in {compressed} bytes, but may have {most} of that size"
        raise InvalidRow("too_expanded", f"{detail} (Limits.expansion); no row of the group is read")
    file.seek(0)
    return GroupSize(compressed, uncompressed, dictionaries, longest)


def _pages(file: IO[bytes], chunk: Any, file_size: int, limits: Limits) -> Iterator[Page]:
    place, least = chunk.data_page_offset, _LEAST_BYTES.get(chunk.physical_type, 0)
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    end = place + chunk.total_compressed_size
    if not 4 <= place <= end <= file_size:
        raise EOFError(f"column {chunk.path_in_schema} lies at {place} to {end}, outside of the file")
    values = 0
    while place < end and values < chunk.num_values:
        page = _page(_reader(file, place, end), place, limits)
        place = page.place + page.compressed
        if place > end or page.values > chunk.num_values:
            raise EOFError(f"a page of column {chunk.path_in_schema} is larger than its column")
        if page.uncompressed > limits.page_bytes:
            detail = f"a page of column {chunk.path_in_schema} has {page.uncompressed} bytes, but may have"
            raise InvalidRow("page_too_large", f"{detail} {limits.page_bytes} (Limits.page_bytes)")
        if page.kind == _DICTIONARY and page.values * least > page.uncompressed:
            raise EOFError(f"a dictionary of column {chunk.path_in_schema} has too few bytes for {page.values} values")
        values += page.values if page.kind in (_DATA, _DATA_V2) else 0
        yield page


def _reader(file: IO[bytes], place: int, end: int) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        file.seek(place)
        return file.read(min(size, end - place))

    return read


def _rows(pages: list[Page], file: IO[bytes], chunk: Any, levels: int, announced: int) -> tuple[int, int]:
    """The rows of a list column, and the values of the longest one; a mean if the pages cannot be decompressed."""
    if chunk.compression not in parquet_levels.CODECS:
        return announced, -(-chunk.num_values // max(announced, 1))
    lengths = parquet_levels.RowLengths()
    for page in pages:
        file.seek(page.place)
        stored = file.read(page.compressed)
        encoded = parquet_levels.levels_of_page(stored, page.uncompressed, chunk.compression, page.details)
        lengths.add(encoded, page.values, levels)
    return lengths.rows, lengths.longest


def _page(read: Callable[[int], bytes], place: int, limits: Limits) -> Page:
    start = read(min(_START_BYTES, limits.header_bytes))
    try:
        fields, length = thrift.struct_at(start)
    except IndexError:  # long statistics
        fields, length = _long_header(read(limits.header_bytes), limits)
    kind, uncompressed, compressed = (fields.get(number, -1) for number in (1, 2, 3))
    details = fields.get({_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind, 0), {})
    values = details.get(1, -1) if isinstance(details, dict) else -1
    if kind == _INDEX:
        values = 0
    if not all(isinstance(one, int) and one >= 0 for one in (kind, uncompressed, compressed, values)):
        raise EOFError("the header of a page is damaged")
    levels = sum(size for size in (details.get(5, 0), details.get(6, 0)) if size) if kind == _DATA_V2 else 0
    if kind == _DATA_V2 and (min(details.get(5, 0), details.get(6, 0)) < 0 or levels > min(compressed, uncompressed)):
        raise EOFError("the levels of a page are longer than the page")
    return Page(place + length, kind, uncompressed, compressed, values, details)


def _long_header(start: bytes, limits: Limits) -> tuple[dict[int, Any], int]:
    try:
        return thrift.struct_at(start)
    except IndexError as error:
        detail = f"the header of a page is damaged, or larger than Limits.header_bytes, which is {limits.header_bytes}"
        raise EOFError(detail) from error
