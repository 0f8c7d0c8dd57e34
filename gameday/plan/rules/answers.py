"""Rules about answers: every outcome of the system file can be told by some answer."""

from gameday.spec.inputs import FileWarning, Findings, LoadedSystem
from gameday.spec.request import ROOT, Match, path_of

_CURE = f"write names with dots between them, or {ROOT} for the whole answer"


def of_system(loaded: LoadedSystem) -> Findings:
    """Paths lead somewhere, and no outcome is hidden by one before it."""
    issue = loaded.system.requests.issue
    here = ("requests", "issue")
    for name, match in issue.outcomes.items():
        for path in match.json_:
            yield from _path(loaded, (*here, "outcomes", name, "json", path), path, name)
    for key, source in issue.capture.items():
        if isinstance(source, str):
            yield from _path(loaded, (*here, "capture", key), source, key)
    seen: dict[int, str] = {}
    for name, match in issue.outcomes.items():
        hidden = {seen[status] for status in match.statuses if status in seen}
        if hidden and match.statuses <= seen.keys():
            first = " and ".join(sorted(map(repr, hidden)))
            text = f"{name!r} can never match: {first} before it takes every answer that it names"
            yield FileWarning(loaded.document.place(*here, "outcomes", name), text)
        if _takes_all(match):
            seen |= dict.fromkeys(match.statuses - seen.keys(), name)


def _takes_all(match: Match) -> bool:
    """True if the status alone decides."""
    return not (match.json_ or match.text or match.headers)


def _path(loaded: LoadedSystem, loc: tuple[str, ...], path: str, key: str) -> Findings:
    try:
        path_of(path)
    except ValueError as error:
        yield loaded.document.error(loc, f"{key!r}: {error}", help=_CURE)
