"""ModelPackager: adds label embeddings, warm-up requests and smaller weights to the trained Model."""
