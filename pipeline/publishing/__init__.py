"""Published models: numbered versions, and publishing a model that the gate blocked."""
