"""The picture of the DAG: `graph` reads it from a TFX pipeline, `layout` places it, `svg` draws it."""
