"""Sources of an audit: the audit itself and every store, by name, and what was asked of them.

`names` are those of `rows`, `stock` and `remaining` that were asked of this campaign alone. Runs of
before tell of no sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.core.json_objects import Json
from gameday.evidence.rows import whole_number


@dataclass(frozen=True, slots=True)
class Source:
    """One source that was asked: what of it was asked of this campaign alone, and what was odd."""

    names: frozenset[str] = frozenset()
    stock: int | None = None
    problem: str = ""


def sources_of(fields: Json) -> Mapping[str, Source]:
    """The sources in `audit.json`; {} of a run of before. Raises TypeError or RowError."""
    found = {}
    every = fields.get("sources") or {}
    if not isinstance(every, dict) or not all(isinstance(told, dict) for told in every.values()):
        raise TypeError("its `sources` are not mappings by name")
    for name, told in every.items():
        problem = told.get("problem", "")
        if not isinstance(problem, str):
            raise TypeError(f"the problem of {name!r} is no text")
        stock = None if told.get("stock") is None else whole_number(told["stock"])
        found[name] = Source(frozenset(map(str, told.get("names", ()))), stock, problem)
    return found


def echoes_campaign(fields: Json) -> bool:
    """True if the answer, in gameday's own form, says of which campaign it is, and it is this."""
    answer = fields.get("answer") or {}
    return "code" in answer and str(answer["code"]) == str(fields.get("campaign"))
