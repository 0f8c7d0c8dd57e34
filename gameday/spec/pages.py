"""Pages of the documentation by key: where an error, and `gameday explain`, send their reader."""

from collections.abc import Sequence
from typing import Final

_PAGES: Final[dict[tuple[str, ...], str]] = {
    ("requests",): "docs/own-ids.md",
    ("requests", "before"): "docs/own-steps.md",
    ("requests", "cookies"): "docs/own-steps.md",
    ("requests", "issue", "poll"): "docs/own-steps.md",
    ("users",): "docs/own-steps.md",
    ("before_run",): "docs/own-audit.md",
    ("semantics",): "docs/own-ids.md",
    ("semantics", "holds"): "docs/verdict.md",
    ("start",): "docs/own-start.md",
    ("stores",): "docs/own-audit.md",
    ("audit",): "docs/own-audit.md",
    ("close",): "docs/own-system.md",
    ("authority",): "docs/own-system.md",
    ("drain",): "docs/own-system.md",
    ("settle",): "docs/own-system.md",
    ("dependencies",): "docs/own-system.md",
    ("tls",): "docs/own-system.md",
    ("base_url",): "docs/own-system.md",
    ("toxiproxy",): "docs/own-system.md",
    ("proxies",): "docs/own-system.md",
    ("metrics",): "docs/own-system.md",
    ("actions",): "docs/playbooks.md",
    ("rules",): "docs/alerts.md",
    ("alert_tells",): "docs/alerts.md",
    ("prometheus",): "docs/alerts.md",
    ("alertmanager",): "docs/alerts.md",
    ("logs",): "docs/logs.md",
    ("campaign",): "docs/files.md",
    ("traffic",): "docs/files.md",
    ("objectives",): "docs/files.md",
    ("method",): "docs/files.md",
    ("expect",): "docs/files.md",
    ("expect", "alerts"): "docs/alerts.md",
    ("expect", "logs"): "docs/logs.md",
    ("abort_if",): "docs/files.md",
    ("playbook",): "docs/playbooks.md",
    ("short",): "docs/files.md",
    ("drill",): "docs/training.md",
    ("agenda",): "docs/game-days.md",
    ("schedule",): "docs/schedule.md",
}
_OF_KINDS: Final = {
    "system": "docs/own-system.md",
    "experiment": "docs/files.md",
    "drill": "docs/training.md",
    "day": "docs/game-days.md",
    "playbook": "docs/playbooks.md",
    "step": "docs/playbooks.md",
    "frontmatter": "docs/playbooks.md",
    "stepblock": "docs/playbooks.md",
    "settings": "docs/settings.md",
}
ALL: Final = sorted({*_PAGES.values(), *_OF_KINDS.values()})


def page_of(loc: Sequence[str | int], kind: str = "") -> str:
    """The page about a key of a file: that of its nearest parent, else of the kind of file.

    "" where neither is known.
    """
    keys = tuple(each for each in loc if isinstance(each, str))
    for length in range(len(keys), 0, -1):
        if found := _PAGES.get(keys[:length]):
            return found
    return _OF_KINDS.get(kind, "")
