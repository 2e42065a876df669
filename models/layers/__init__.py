"""What objectives put after their towers: projectors, batch normalisation and momentum copies."""
