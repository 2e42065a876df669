"""Parquet: `ParquetSource`, and checks of the stated sizes before pyarrow reads."""
