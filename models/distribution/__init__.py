"""Where a step runs: strategies, the collectives between replicas, and the ring of TPU chips."""
