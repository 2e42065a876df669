"""The five terms of Simla (arXiv 2203.14395), one file each.

A new term is a weight in models/settings/simla.py, a class that derives from `Term`, and a line below.
"""

from models.objectives.simla_terms.itc import Itc
from models.objectives.simla_terms.itm import Itm
from models.objectives.simla_terms.mim import Mim
from models.objectives.simla_terms.mlm import Mlm
from models.objectives.simla_terms.psl import Psl
from models.objectives.simla_terms.term import IMAGE, MODALITIES, TEXT, Aids, Parts, Seen, Term

__all__ = ["IMAGE", "MODALITIES", "TERMS", "TEXT", "Aids", "Parts", "Seen", "Term"]

TERMS: tuple[type[Term], ...] = (Itc, Itm, Mlm, Mim, Psl)
