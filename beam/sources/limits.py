"""Limits of what a source reads: one record never takes unbounded memory or time."""

import dataclasses

from models.settings.checks import require_positive, settings_class


@settings_class("Limits")
class Limits:
    """Limits of records and files. The reject of a record beyond a limit names the limit and the received value.

    Attributes:
      line_bytes: largest line of JSON Lines, and largest record of CSV (bytes). It must hold a picture in base64.
      values: largest number of values in the JSON of one row, in a tf.Example, or in a list of one row of Parquet,
        because small values take much memory.
      row_bytes: largest row of Parquet, tf.Example, or sample of a tar file, all columns together (bytes).
      members: largest number of members of one sample of a tar file.
      member_bytes: largest member of a tar file, and largest picture file (bytes).
      captions: largest number of captions of one row.
      field_bytes: largest key, language, category, class name and group in UTF-8 (bytes).
      header_bytes: largest header: the first line of a CSV file, or the extended headers of one tar member (bytes).
      footer_bytes: largest footer of a Parquet file (bytes).
      page_bytes: largest page of a Parquet file after decompression (bytes).
      expansion: largest number of decompressed bytes for each compressed byte. The first `line_bytes` of a file are
        always allowed.
      dictionary_bytes: largest memory that an xz file may need for its dictionary (bytes).
      json_bytes: largest JSON file that is parsed as a whole, which is icons.json of Iconify (bytes).
      svg_bytes: largest SVG of one icon (bytes).
    """

    line_bytes: int = 64 << 20
    values: int = 1_000_000
    row_bytes: int = 256 << 20
    members: int = 64
    member_bytes: int = 128 << 20
    captions: int = 1_000
    field_bytes: int = 1 << 12
    header_bytes: int = 1 << 20
    footer_bytes: int = 16 << 20
    page_bytes: int = 256 << 20
    expansion: int = 200
    dictionary_bytes: int = 128 << 20
    json_bytes: int = 64 << 20
    svg_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        require_positive(self, *(field.name for field in dataclasses.fields(self)))
