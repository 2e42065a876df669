"""CSV and TSV: `CsvSource`, and the reading of records whose quotes may be broken."""
