"""English words that say little about a picture. Words of place (in, on, under) and negations are not among them."""

_FUNCTION_WORDS = """
a an the this that these those some any each i you he she it we they his her its our their my your is are was
were be been being am has have had do does did will would shall should can could may might must of to for and
or as so such there here very just also than then
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""What the Augmenter and the augmentation of texts remove, in lower case."""
