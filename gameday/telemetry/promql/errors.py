"""Errors of an expression: when it is read, and when it is evaluated."""

from gameday.core.errors import UnknownError, UsageError


class PromqlError(UsageError):
    """An expression is not PromQL, or uses a part of PromQL that gameday does not evaluate.

    `fragment` is the sub-expression at fault as PromQL prints it, `problem` what is wrong with it.
    """

    def __init__(self, problem: str, fragment: str, *, help: str = "") -> None:
        super().__init__(f"{fragment!r}: {problem}", help=help)
        self.problem = problem
        self.fragment = fragment


class EvaluationError(UnknownError):
    """An expression has no value on this data, such as a match that is many to many."""

    def __init__(self, problem: str, fragment: str) -> None:
        super().__init__(f"{fragment!r}: {problem}")
        self.problem = problem
        self.fragment = fragment
