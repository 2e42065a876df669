"""BatchCheck: compares the rows of the data with what training needs, before anything is computed from them."""
