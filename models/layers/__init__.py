"""What objectives put around their towers: projectors, batch normalisation, momentum copies and masks."""
