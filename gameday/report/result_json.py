"""A result with its action items as JSON, for programs: `result.json` and one key more."""

import json
from collections.abc import Sequence
from typing import Any

from gameday.judge.result import Result
from gameday.report.action_items import RunItem


def with_items(result: Result, items: Sequence[RunItem]) -> bytes:
    """The result as it is written, and `action_items` behind it."""
    content = json.loads(result.to_bytes())
    content["action_items"] = [item_json(each) for each in items]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def item_json(each: RunItem) -> dict[str, Any]:
    """One action item as JSON."""
    item = each.item
    return {
        "run": each.run,
        "file": str(each.path),
        "line": item.line,
        "title": item.title,
        "type": item.type or None,
        "owner": item.owner or None,
        "due": None if item.due is None else item.due.isoformat(),
        "experiment": item.experiment or None,
        "expect": list(item.expect),
        "state": each.state,
        "by": each.by or None,
    }
