"""The check of boxes."""

import math

from beam.records import AnyRow, Rejected


class BoxCheck:
    """Drops rows whose box is no part of the picture: "invalid_boxes". Rows without a box stay."""

    def __call__(self, row: AnyRow) -> AnyRow | Rejected:
        return row if not row.boxes or _is_part(row.boxes) else _rejected(row)


def _is_part(boxes: tuple[float, ...]) -> bool:
    if len(boxes) != 4 or not all(math.isfinite(value) for value in boxes):
        return False
    top, left, bottom, right = boxes
    return 0 <= top < bottom <= 1 and 0 <= left < right <= 1


def _rejected(row: AnyRow) -> Rejected:
    rule = "must be top, left, bottom, right in [0, 1] with top < bottom and left < right"
    detail = f"boxes is {list(row.boxes)}, but {rule}; divide pixels by the picture's height and width"
    return Rejected(row.key, row.position, "invalid_boxes", detail)
