"""Non-contrastive terms of ClipRocket (arXiv 2305.08675), one file each.

A new term is a settings class (models/settings/terms.py), a class that derives from `Term`, and a line below.
"""

from models import settings
from models.objectives.rocket_terms.barlip import Barlip
from models.objectives.rocket_terms.byolip import Byolip
from models.objectives.rocket_terms.siamlip import Siamlip
from models.objectives.rocket_terms.swalip import Swalip
from models.objectives.rocket_terms.term import IMAGE, MODALITIES, TEXT, Rows, Term, Towers

__all__ = ["IMAGE", "MODALITIES", "TEXT", "Rows", "Term", "Towers", "create"]

_TERMS: dict[type[settings.TermSettings], type[Term]] = {
    settings.BarlipSettings: Barlip,
    settings.ByolipSettings: Byolip,
    settings.SiamlipSettings: Siamlip,
    settings.SwalipSettings: Swalip,
}


def create(config: settings.TermSettings, towers: Towers) -> Term:
    """Makes the term of these settings; its `build` makes the variables."""
    return _TERMS[type(config)](config, towers)
