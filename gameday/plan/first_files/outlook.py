"""Outlook on a run of these files: what it can judge and what it lacks."""

from collections.abc import Iterator

from gameday.plan.first_files.sketch import Sketch


def judges(sketch: Sketch) -> Iterator[str]:
    """The statements that are judged, a line each."""
    if sketch.is_audited:
        yield "whether what was answered is stored, once for each, and not one too many (audit)"
    yield "how fast and how often it answers, against the objective and the threshold"
    yield "whether the traffic itself kept its schedule"
    if sketch.project is not None and sketch.project.dependencies:
        yield "whether it stands a slow dependency, and recovers"


def lacks(sketch: Sketch) -> Iterator[tuple[str, str]]:
    """Statements that are not judged, and the key or the step that would add it."""
    names = {each.name for each in sketch.outcomes}
    if not sketch.is_audited:
        because = ", since the campaign is used" if sketch.used else ""
        yield f"how many were issued, and to whom{because}", "before_run" if because else "audit"
    missing = [name for name in ("sold_out", "duplicate") if name not in names]
    if missing:
        yield f"answers that mean {' or '.join(missing)}", "requests.issue.outcomes"
    if sketch.project is None or not sketch.project.dependencies:
        yield "faults between the service and what it calls", "proxies"
    yield "alerts", "rules"
    if sketch.project is None or not sketch.project.stores:
        yield "what the stores hold, and faults of them", "stores"
