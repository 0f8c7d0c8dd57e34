"""The workbench: what there is to work with in a session, told in one piece.

The actions of the system file, the playbooks, and what a drill says to its team. In a drill every
playbook is offered, so none gives away what is broken, and its text is told from the run directory,
where the drill has written all of them alike; elsewhere the run's own stands first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from gameday.console.feed import Feed
from gameday.console.playbook_text import ShownBlock, blocks
from gameday.core import files
from gameday.core.errors import GamedayError
from gameday.core.language import ENGLISH
from gameday.evidence.effective import Effective
from gameday.evidence.sealed_inputs import OFFERED
from gameday.run.responder.orders import SEVERITIES
from gameday.spec.drill import Role
from gameday.spec.inputs import load_system
from gameday.spec.playbook import Playbook, read_markdown
from gameday.spec.shipped import all_playbooks
from gameday.spec.system import System
from gameday.spec.translations import playbook_in

UPDATES_EVERY_S: Final = 300.0  # where no drill says how often those who wait are told
MOST_BYTES: Final = files.MIB  # of a playbook
MOST_PLAYBOOKS: Final = 100
TEAM: Final[Sequence[str]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class ActionTold:
    """An action of the system file, and the request that it is."""

    name: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class StepTold:
    """A step of a playbook.

    `by_number` says that it is ordered by its number, in a drill beside its playbook's name; else
    it is ordered by what it does.
    """

    step: int
    text: str
    do: str | None
    by_number: bool


@dataclass(frozen=True, slots=True)
class PlaybookTold:
    """A playbook: its head, its steps, and its text. `own` is the one that the run is worked by."""

    name: str
    alerts: Sequence[str]
    severity: str
    own: bool
    steps: Sequence[StepTold]
    blocks: Sequence[ShownBlock]


@dataclass(frozen=True, slots=True)
class Workbench:
    """All of it."""

    title: str
    briefing: str
    role: str
    hypotheses: Sequence[str]
    severities: Sequence[str]
    team: Sequence[str]
    hints: int
    updates_every_s: float
    lasts_s: float
    speed: float
    actions: Sequence[ActionTold]
    playbooks: Sequence[PlaybookTold]


def workbench(feed: Feed, language: str = ENGLISH) -> Workbench:
    """The workbench of a session, as far as it is known by now; its playbooks in a language."""
    drill = feed.drill
    effective = feed.effective
    system = effective.system if effective is not None else _system(feed.run_dir)
    return Workbench(
        title=_title(feed, effective),
        briefing=drill.briefing if drill else "",
        role=drill.role if drill else "",
        hypotheses=drill.hypotheses if drill else (),
        severities=(drill.severities if drill else ()) or SEVERITIES,
        team=TEAM,
        hints=drill.hints if drill else 0,
        updates_every_s=(drill.updates_every_s if drill else 0) or UPDATES_EVERY_S,
        lasts_s=drill.lasts_s if drill else (effective.traffic_end_s if effective else 0.0),
        speed=drill.speed if drill else 1.0,
        actions=_actions(system),
        playbooks=_playbooks(feed, None if drill else effective, language),
    )


def _title(feed: Feed, effective: Effective | None) -> str:
    """The name of the session: never that of the experiment in a drill."""
    if feed.drill is not None:
        return "drill-" + feed.run_dir.name.rsplit("-", 1)[-1]
    return effective.experiment.name if effective is not None else feed.run_dir.name


def _system(run_dir: Path) -> System | None:
    try:
        return load_system(run_dir / "inputs" / "system.yaml").system
    except (GamedayError, OSError):
        return None


def _actions(system: System | None) -> list[ActionTold]:
    if system is None:
        return []
    found = {name: f"{each.method} {each.path}" for name, each in system.actions.items()}
    found |= dict.fromkeys(system.scale, "")
    return [ActionTold(name, found[name]) for name in sorted(found)]


def _playbooks(feed: Feed, effective: Effective | None, language: str) -> list[PlaybookTold]:
    """The run's own first; then those that are offered, by their names."""
    drilled = feed.drill is not None
    here = (feed.run_dir / OFFERED).glob("*.md") if drilled else all_playbooks()
    paths = {path.stem: path for path in here}
    words = {path.stem: path for path in all_playbooks()} if language != ENGLISH else {}
    own = effective.playbook.head.name if effective and effective.playbook else ""
    found: list[PlaybookTold] = []
    if own:
        mine = feed.run_dir / "inputs" / "playbook.md"
        found += _playbook(mine, (words.get(own), language), own=True)
    for name in sorted(paths)[:MOST_PLAYBOOKS]:
        if name != own:
            offered = (words.get(name), language)
            found += _playbook(paths[name], offered, own=False, numbered=drilled)
    return found


def _playbook(
    path: Path, words: tuple[Path | None, str], *, own: bool, numbered: bool = False
) -> list[PlaybookTold]:
    """A playbook as it is told; none where it cannot be read.

    `words` are the shipped file of its name, which may be translated, and the language.
    """
    try:
        text = files.read_bytes(path, MOST_BYTES).decode()
        book: Playbook = read_markdown(text, path.name)[0]
    except (GamedayError, OSError, ValueError):
        return []
    shipped, language = words
    if shipped is not None:
        book = playbook_in(shipped, book, language)
        text = book.text
    steps = [
        StepTold(step.number, step.text, step.block.do, own or numbered) for step in book.steps
    ]
    head = book.head
    return [PlaybookTold(head.name, head.alerts, head.severity, own, steps, blocks(text))]
