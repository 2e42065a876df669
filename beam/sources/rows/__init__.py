"""Rows of columns: `RowSource`, and how columns become key, picture, captions and class, in every format alike."""
