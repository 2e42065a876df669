"""ImageEmbedder: Examples with pictures -> Examples with the embeddings of a locked image tower."""
