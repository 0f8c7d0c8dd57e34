"""A result with its action items as JSON, for programs: `result.json` and one key more."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from gameday.judge.result import Result
from gameday.report.action_items import RunItem


def with_items(result: Result, items: Sequence[RunItem]) -> bytes:
    """The result as it is written, and `action_items` behind it."""
    content = json.loads(result.to_bytes())
    content["action_items"] = [asdict(item_line(each)) for each in items]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One action item as programs read it; what nobody has said yet is null."""

    run: str
    file: str
    line: int
    id: str | None
    title: str
    type: str | None
    owner: str | None
    due: str | None
    experiment: str | None
    expect: Sequence[str]
    state: str
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Result):
    """What `gameday report --format json` writes: the result, and the action items of its draft."""

    action_items: Sequence[ItemLine]


def written_as(kind: str) -> TypeAdapter[Report] | TypeAdapter[list[ItemLine]]:
    """The type of what is written: a `report`, or else a list of action items."""
    return TypeAdapter(Report) if kind == "report" else TypeAdapter(list[ItemLine])


def item_line(each: RunItem) -> ItemLine:
    """One action item, to be written as JSON."""
    item = each.item
    return ItemLine(
        run=each.run,
        file=str(each.path),
        line=item.line,
        id=item.id or None,
        title=item.title,
        type=item.type or None,
        owner=item.owner or None,
        due=None if item.due is None else item.due.isoformat(),
        experiment=item.experiment or None,
        expect=list(item.expect),
        state=each.state,
        by=each.by or None,
    )
