"""The rule of paths: a request of a system file leads to a place on its base address."""

from gameday.core.network.urls import path_problem
from gameday.spec.inputs import Findings
from gameday.spec.read import LoadedSystem
from gameday.spec.request import METHODS

Loc = tuple[str | int, ...]
_REQUESTS = ("campaign", "close", "audit")
_GROUPS = ("requests", "actions")


def lead_nowhere_else(loaded: LoadedSystem) -> Findings:
    """Every path begins with one /, and holds nothing that may be read as a host."""
    document = loaded.document
    for loc, _, node in document.root.walk():
        path = node.content
        if isinstance(path, str) and _is_path(loc) and (wrong := path_problem(path)):
            problem = f"{str(loc[-1])!r}: the path {path[:100]!r} {wrong}"
            yield document.error(
                loc, problem, help="begin with / and percent-encode what is special"
            )


def _is_path(loc: Loc) -> bool:
    """True for the location of a path: under a method of a request, or under `start.ready`."""
    if loc == ("start", "ready"):
        return True
    *where, method = loc
    depth = 1 if where[:1] and where[0] in _REQUESTS else 2
    known = bool(where) and where[0] in (*_REQUESTS, *_GROUPS)
    return known and len(where) == depth and method in METHODS
