"""Rows of evaluation sets, which others may have made."""

from beam.decode import DecodeCheck, PictureRules
from beam.records import ImageText, Rejected

_CHECK = DecodeCheck(PictureRules(min_side=1))


def decodable(row: ImageText) -> ImageText:
    """A row of an evaluation set, with its picture as the build would have stored it.

    Raises:
      ValueError: the picture cannot be decoded, so that nothing could be compared with it.
    """
    outcome = _CHECK(row)
    if isinstance(outcome, Rejected):
        raise ValueError(
            f"Deduper.evaluation_sets: {row.position}: {outcome.reason} ({outcome.detail}), so that nothing can be "
            "compared with it; remove the row, or make the set with `python -m beam.build`, which does"
        )
    return outcome
