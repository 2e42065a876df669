"""Files of sources: finding, opening and decompressing them, within limits."""
