"""Settings of RunReport."""

from models.settings.checks import require_at_least_zero, require_positive, settings_class


@settings_class("Report")
class ReportSettings:
    """The HTML page of the run.

    Attributes:
      title: heading of the page.
      attribution: credit line, if the licence of the data asks for one. "" shows none.
      gallery: number of pictures of the test split to show.
      max_rows: largest number of rows of the test split to compute the headline metrics on. Raise it for narrower
        intervals; it takes more time.
      reranked_queries: number of pictures, and of texts, to retrieve in two stages, if the model has `match`. 0 leaves
        the table out.
    """

    title: str = "siglip-tfx"
    attribution: str = ""
    gallery: int = 12
    max_rows: int = 5000
    reranked_queries: int = 64

    def __post_init__(self) -> None:
        require_positive(self, "gallery", "max_rows")
        require_at_least_zero(self, "reranked_queries")
