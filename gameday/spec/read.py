"""Files become models; each keeps its bytes and positions, for the record and for messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gameday.core import files
from gameday.spec.experiment import Experiment
from gameday.spec.faults import AnyFault
from gameday.spec.find import find_experiment
from gameday.spec.playbook import Playbook
from gameday.spec.playbook_markdown import read_markdown
from gameday.spec.system import System
from gameday.spec.yaml import Document, decode, load, one_of_them, read_bytes, shown_path

_NOT_IN_SHORT = ("name", "short")


@dataclass(frozen=True, slots=True)
class LoadedExperiment:
    """An experiment as it will run: the short form applied, fault ids and the seed filled in.

    `document` has the short form applied too, so that positions are those of what counts.
    """

    experiment: Experiment
    path: Path
    raw: bytes
    document: Document
    short: bool = False


@dataclass(frozen=True, slots=True)
class LoadedSystem:
    """A system file."""

    system: System
    path: Path
    raw: bytes
    document: Document


@dataclass(frozen=True, slots=True)
class LoadedPlaybook:
    """A playbook; `front` and `blocks` (by step number) have the positions."""

    playbook: Playbook
    path: Path
    raw: bytes
    front: Document
    blocks: Mapping[int, Document] = field(default_factory=dict)


def load_experiment(ref: str, *, short: bool = False, seed: int | None = None) -> LoadedExperiment:
    """The experiment of that name or path.

    The seed is `seed`, else the file's, else random. Raises UsageError, and FileError at the
    first thing that is wrong.
    """
    path = find_experiment(ref)
    document = load(path)
    raw = document.raw
    check_short(document)
    whole = document.parse(Experiment)
    if short and whole.short is None:
        raise document.error((), "there is no short form", help="add `short:` or leave out --short")
    if short:
        document = document.overlaid("short")
    experiment = _filled(document.parse(Experiment) if short else whole, seed)
    return LoadedExperiment(experiment, path, raw, document, short)


def check_short(document: Document) -> None:
    """`short` holds top-level keys, but not the name and not another `short`."""
    step = document.root.child("short")
    if step is None or not isinstance(step[1].content, dict):
        return
    allowed = {info.alias or name for name, info in Experiment.model_fields.items()}
    allowed -= set(_NOT_IN_SHORT)
    for key in step[1].content:
        if key in _NOT_IN_SHORT:
            raise document.error(("short", key), f"{key!r} cannot stand in 'short'")
        if key not in allowed:
            raise document.error(
                ("short", key), f"unknown key {key!r}", help=one_of_them(key, allowed)
            )


def has_short(document: Document) -> bool:
    """True if the file has a short form."""
    step = document.root.child("short")
    return step is not None and step[1].content is not None


def _filled(experiment: Experiment, seed: int | None) -> Experiment:
    """With every fault's id, and the seed."""
    if seed is None:
        seed = experiment.seed if experiment.seed is not None else _random_seed()
    method = _with_ids(experiment.method)
    alerts = [
        alert if alert.of is None else alert.model_copy(update={"of": _as_id(alert.of)})
        for alert in experiment.expect.alerts
    ]
    expect = experiment.expect.model_copy(update={"alerts": alerts})
    filled = {"seed": seed, "method": method, "expect": expect, "short": None}
    return experiment.model_copy(update=filled)


def _random_seed() -> int:
    """The one choice that is not a function of the seed; it is recorded with the run."""
    import secrets  # only here: it is slow to import, and most files name a seed

    return secrets.randbits(31)


def _with_ids(method: list[AnyFault]) -> list[AnyFault]:
    """A fault without an id is called after its kind and number: `network-latency-1`."""
    counts: dict[str, int] = {}
    named = []
    for fault in method:
        counts[fault.fault] = counts.get(fault.fault, 0) + 1
        default = _as_id(f"{fault.fault}-{counts[fault.fault]}")
        named.append(fault.model_copy(update={"id": fault.id or default}))
    return named


def _as_id(text: str) -> str:
    """Ids are names: what a kind of fault has besides letters, digits and dashes becomes a dash."""
    return text.replace(".", "-").replace("_", "-")


def load_system(path: Path) -> LoadedSystem:
    """The system file at `path`. Raises FileError."""
    document = load(path)
    system = _with_authorities(document.parse(System), path, document)
    return LoadedSystem(system, path, document.raw, document)


def _with_authorities(system: System, path: Path, document: Document) -> System:
    """The path of `tls.ca` counts from the file that names it, as all paths do."""
    if system.tls.ca is None:
        return system
    found = (path.parent / system.tls.ca).resolve()
    try:
        files.read_bytes(found, files.SETTING_BYTES)
    except FileNotFoundError as error:
        problem = f"'ca': there is no file {system.tls.ca!r}"
        raise document.error(("tls", "ca"), problem) from error
    except OSError as error:
        problem = f"'ca': {system.tls.ca!r} cannot be read: {error.strerror}"
        raise document.error(("tls", "ca"), problem, help="name a PEM file") from error
    return system.model_copy(update={"tls": system.tls.model_copy(update={"ca": str(found)})})


def load_playbook(path: Path) -> LoadedPlaybook:
    """The playbook at `path`. Raises FileError."""
    raw = read_bytes(path)
    file = shown_path(path)
    playbook, front, blocks = read_markdown(decode(raw, file), file)
    return LoadedPlaybook(playbook, path, raw, front, blocks)
