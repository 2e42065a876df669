"""Published models: their numbered versions, and pushing one past the gate."""
