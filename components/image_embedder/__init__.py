"""ImageEmbedder: replaces the pictures of Examples by the embeddings of a locked image tower."""
