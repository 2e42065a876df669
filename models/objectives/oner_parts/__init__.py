"""Parts of Oner: masked prediction, FLOP and further signatures."""
