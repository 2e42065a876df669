"""Filters: a row is kept, changed or not, or `Rejected` with a reason; captions are removed one by one."""
