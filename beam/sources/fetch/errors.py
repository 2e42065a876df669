"""`FetchError`: why a picture was not fetched."""


class FetchError(Exception):
    """A picture could not be fetched, or must not be; `reason` and `detail` say why its row is dropped.

    `retry_after` is the pause before another attempt (seconds), or None if another attempt is useless.
    """

    def __init__(self, reason: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.retry_after = reason, detail, retry_after
