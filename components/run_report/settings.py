"""Settings of RunReport."""

from models.settings.checks import require_positive, settings_class


@settings_class("Report")
class ReportSettings:
    """The HTML page of the run.

    Attributes:
      title: heading of the page.
      attribution: credit line, if the licence of the data asks for one. "" shows none.
      gallery: number of pictures of the test split to show.
      max_rows: largest number of rows of the test split to compute the headline metrics on. Raise it for narrower
        intervals; it takes more time.
    """

    title: str = "siglip-tfx"
    attribution: str = ""
    gallery: int = 12
    max_rows: int = 5000

    def __post_init__(self) -> None:
        require_positive(self, "gallery", "max_rows")
