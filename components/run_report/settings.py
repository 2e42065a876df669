"""What the run's page shows."""

from models.settings.checks import require_positive, settings_class


@settings_class("Report")
class ReportSettings:
    """The run's page.

    Attributes:
      title: its heading.
      attribution: credit that the data's licence asks for.
      gallery: held-out pictures shown.
      max_rows: rows of the test split that are embedded for the headline.
    """

    title: str = "siglip-tfx"
    attribution: str = ""
    gallery: int = 12
    max_rows: int = 5000

    def __post_init__(self) -> None:
        require_positive(self, "gallery", "max_rows")
