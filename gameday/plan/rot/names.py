"""Names that are gone: alerts, severities, steps, experiments and playbooks."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from gameday.core.errors import one_of_them
from gameday.plan.rot.passages import Pages, Passage
from gameday.plan.rot.surroundings import Surroundings
from gameday.spec.inputs import FileWarning, Findings, LoadedPlaybook

SEVERITIES: Final = frozenset(
    {"page", "critical", "warning", "ticket", "info", "sev1", "sev2", "sev3", "sev4", "sev5"}
)
_CAMEL: Final = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+", re.ASCII)
_NEAR: Final = 0.7
_STEPS: Final = re.compile(
    r"\bsteps?[ \n]+(\d{1,3})((?:[ \n]*(?:,|and|or|to|–|-)[ \n]*\d{1,3}\b)*)", re.IGNORECASE
)
_OF_OTHERS: Final = re.compile(
    r"[ \n]+(?:of|in)[ \n]+(?!(?:this|the)[ \n]+(?:playbook|page)\b)", re.IGNORECASE
)
_DIGITS: Final = re.compile(r"\d{1,3}")
_SPOKEN: Final = re.compile(
    r"(experiment|playbook|drill)s?(?:[ \n]+(?:called|named))?[ \n]*\Z", re.IGNORECASE
)
_ALERT_BEFORE: Final = re.compile(r"\balerts?\b[^.]{0,24}\Z", re.IGNORECASE)
_ALERT_BEHIND: Final = re.compile(
    r"\s+(?:also\s+)?(?:fires?|resolves?|is (?:firing|gone|pending))\b"
)
_NAME: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*", re.ASCII)
_FILE: Final = re.compile(
    r"(?<![\w/.-])((?:\.{1,2}/)?(experiments|playbooks)/([\w-]+)\.(?:ya?ml|md))(?![\w/-])"
)


def of_front(loaded: LoadedPlaybook, around: Surroundings) -> Findings:
    """The alerts that a playbook answers, and how urgent it says they are."""
    head, front = loaded.playbook.head, loaded.front
    for index, name in enumerate(head.alerts):
        if around.knows_alerts and name not in around.alerts:
            cure = one_of_them(name, around.alerts)
            yield FileWarning(
                front.place("alerts", index), f"'alerts': no rule raises {name!r}: {cure}"
            )
    for index, name in enumerate(head.do_not):
        if name not in around.actions:
            cure = one_of_them(name, around.actions)
            text = f"'do_not': {name!r} is not an action of the system: {cure}"
            yield FileWarning(front.place("do_not", index), text)
    known = SEVERITIES.union(*around.alerts.values())
    if head.severity not in known:
        cure = one_of_them(head.severity, known)
        text = f"'severity': unknown severity {head.severity!r}: {cure}"
        yield FileWarning(front.place("severity"), text)
        return
    answered = [around.alerts[name] for name in head.alerts if name in around.alerts]
    theirs = frozenset().union(*answered) if answered else frozenset[str]()
    if theirs and head.severity not in theirs and "severity" in head.model_fields_set:
        shown = ", ".join(sorted(theirs))
        text = f"'severity': {head.severity!r}, and the rules of its alerts say {shown}"
        yield FileWarning(front.place("severity"), text)


def of_pages(pages: Pages, around: Surroundings) -> Findings:
    """The names that the text has."""
    for passage in pages.passages:
        if passage.kind == "words":
            yield from _steps(passage, pages)
        elif passage.kind != "link":
            yield from _files(passage, around)
        if passage.kind == "code":
            yield from _alert(passage, around)
            yield from _spoken(passage, around)


def _steps(passage: Passage, pages: Pages) -> Findings:
    """Numbers of steps that are not there; "step 9 of the manual" is somebody else's."""
    for match in _STEPS.finditer(passage.text):
        if _OF_OTHERS.match(passage.text, match.end()):
            continue
        numbers = [(match.start(1), match[1])]
        numbers += [(match.start(2) + d.start(), d[0]) for d in _DIGITS.finditer(match[2])]
        for at, number in numbers:
            if int(number) not in pages.items:
                cure = one_of_them(number, map(str, pages.items)) or "it has no numbered items"
                yield FileWarning(passage.place(at), f"there is no step {number!r}: {cure}")


def _alert(passage: Passage, around: Surroundings) -> Findings:
    """A word with capitals in it that is called an alert, or nearly is one."""
    name = passage.text.strip()
    if not around.knows_alerts or not _CAMEL.fullmatch(name) or name in around.alerts:
        return
    near = get_close_matches(name, sorted(around.alerts), n=1, cutoff=_NEAR)
    if near or _ALERT_BEFORE.search(passage.before) or _ALERT_BEHIND.match(passage.behind):
        cure = f"did you mean {near[0]!r}?" if near else one_of_them(name, around.alerts)
        yield FileWarning(passage.place(), f"no rule raises {name!r}: {cure}")


def _spoken(passage: Passage, around: Surroundings) -> Findings:
    """`redis-slow` after the word experiment, drill or playbook."""
    match = _SPOKEN.search(passage.before)
    name = passage.text.strip()
    if match is None or not _NAME.fullmatch(name):
        return
    kind = match[1].lower()
    known = around.playbooks if kind == "playbook" else around.experiments
    if name not in known:
        what = "playbook" if kind == "playbook" else "experiment"
        yield FileWarning(
            passage.place(), f"there is no {what} {name!r}: {one_of_them(name, known)}"
        )


def _files(passage: Passage, around: Surroundings) -> Findings:
    """Paths of experiments and playbooks in code; those in links are looked at as links."""
    for match in _FILE.finditer(passage.text):
        known = around.experiments if match[2] == "experiments" else around.playbooks
        if match[3] not in known and not Path(match[1]).exists():
            cure = one_of_them(match[3], known)
            yield FileWarning(
                passage.place(match.start(1)), f"there is no file {match[1]!r}: {cure}"
            )
