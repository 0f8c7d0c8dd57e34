"""Sources of an audit: the audit itself and every store, by name, and what was asked of them.

Runs of before tell of no sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.evidence.rows import whole_number


@dataclass(slots=True)
class AuditSource:
    """One source that was asked; `problem` is why it could not tell something.

    `names` are those of `rows`, `stock` and `remaining` that were asked of this campaign alone.
    """

    names: tuple[str, ...] = ()
    stock: int | None = None
    problem: str = ""


def sources_of(every: object) -> Mapping[str, AuditSource]:
    """The sources in `audit.json`; {} of a run of before. Raises TypeError or RowError."""
    if every is None:
        return {}
    if not isinstance(every, dict) or not all(isinstance(told, dict) for told in every.values()):
        raise TypeError("its `sources` are not mappings by name")
    found = {}
    for name, told in every.items():
        problem = told.get("problem", "")
        if not isinstance(problem, str):
            raise TypeError(f"the problem of {name!r} is no text")
        stock = None if told.get("stock") is None else whole_number(told["stock"])
        found[name] = AuditSource(tuple(map(str, told.get("names", ()))), stock, problem)
    return found


def echoes_campaign(answer: object, campaign: object) -> bool:
    """True if an answer, in gameday's own form, says of which campaign it is, and it is this."""
    return isinstance(answer, dict) and "code" in answer and str(answer["code"]) == str(campaign)
