"""One tree of errors: the docstring is the message, the server knows the status code."""


class FrontdeskError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or type(self).__doc__)


class ConfigError(FrontdeskError):
    """The configuration does not allow a start."""


class Unbuildable(FrontdeskError):
    """The project's code could not build the graph."""


class BadRequest(FrontdeskError):
    """The request makes no sense as it is."""


class Invalid(FrontdeskError):
    """The request is not valid."""


class Unauthorized(FrontdeskError):
    """A valid API key or token is needed: as `x-api-key` or as `Authorization: Bearer`."""


class Forbidden(FrontdeskError):
    """This key may not do that."""


class NotFound(FrontdeskError):
    """Not Found"""


class Conflict(FrontdeskError):
    """Conflict"""


class TooLarge(FrontdeskError):
    """The request body is too large."""


class Busy(FrontdeskError):
    """Too many requests: try again later."""

    def __init__(self, detail: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(FrontdeskError):
    """A part that this needs cannot be reached right now: try again later."""

    def __init__(self, detail: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Elsewhere(Unavailable):
    """This process stops; what was followed here goes on elsewhere: come back for it."""


class Interrupted(Unavailable):
    """The model's answer broke off after it had begun: what was streamed of it is void."""


class Refused(FrontdeskError):
    """A tool refused the call: nothing was changed."""


class OutcomeUnknown(FrontdeskError):
    """Nobody can tell whether this was done: a colleague has to check before it is tried again."""


class Permanent(FrontdeskError):
    """Trying again cannot help."""
