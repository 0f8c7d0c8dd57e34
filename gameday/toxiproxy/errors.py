"""Refusals of the API, with the status and the text that Toxiproxy's clients know."""

from gameday.core.errors import GamedayError

BODY_ERROR = "bad request body: "


class ApiError(GamedayError):
    """A request that cannot be done; `status` is the HTTP status it is answered with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_body(problem: str) -> ApiError:
    """The request's body is not what the route takes."""
    return ApiError(400, f"{BODY_ERROR}{problem}")
