"""The files of one run: found by name or path, read with their positions, and gathered.

Experiments and playbooks are looked up in the current folder, then among those that are shipped.
What validation says of them is a `Finding`: an error with its place, or a warning.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from gameday.core import files, settings
from gameday.core.errors import FileError, Place, UsageError
from gameday.core.files import is_file
from gameday.core.messages import Message
from gameday.spec.audit import CommandRun
from gameday.spec.drill import Drill
from gameday.spec.experiment import Experiment
from gameday.spec.faults import AnyFault
from gameday.spec.playbook import Playbook, read_markdown
from gameday.spec.shipped import (
    PACKAGE,
    PLAYBOOKS,
    all_experiments,
    all_playbooks,
    folders,
    shipped,
)
from gameday.spec.system import System
from gameday.spec.users import UserTable, read_users
from gameday.spec.yaml import Document, decode, load, one_of_them, read_bytes, shown_path

T = TypeVar("T")

_COMPOSE = "compose.yml"
_NOT_IN_OVERLAY = ("name", "short", "drill")


def find_experiment(ref: str) -> Path:
    """The file of an experiment, from its path or its name. Raises UsageError."""
    if _is_path(ref, (".yaml", ".yml")):
        return _existing(Path(ref), "experiment")
    names = {path.stem: path for path in all_experiments()}
    if ref not in names and is_file(Path(ref)):
        cure = "the name of an experiment's file ends in .yaml"
        raise UsageError(f"no experiment {ref!r}: a file, but not YAML by its name", help=cure)
    if ref not in names:
        help = one_of_them(ref, names) or "there is no folder `experiments` here"
        raise UsageError(f"no experiment {ref!r}", help=help)
    return names[ref]


def find_playbook(ref: str, experiment: Path) -> Path | None:
    """The file of the playbook an experiment names; None if there is none.

    A path counts from the experiment's folder; a name is looked up in `./playbooks`, beside the
    experiment's folder, and among the shipped.
    """
    if _is_path(ref, (".md",)):
        path = experiment.parent / ref
        return path if os.path.lexists(path) else None
    beside = experiment.absolute().parent
    places = [Path(PLAYBOOKS), beside.parent / PLAYBOOKS, beside, *folders(PLAYBOOKS)]
    paths = [folder / f"{ref}.md" for folder in places]
    return next((path for path in paths if os.path.lexists(path)), None)  # reading refuses others


def find_system(ref: str | None) -> Path:
    """The system file given or set, else `./system_under_test/system.yaml`, or the shipped one."""
    ref = ref or settings.current()["system"]
    if ref is not None:
        return _existing(Path(ref), "system file")
    inside = Path("system_under_test", "system.yaml")
    for path in (inside, PACKAGE.parent / inside):
        if is_file(path):
            return path
    raise UsageError(
        f"no system file: {shown_path(inside)} is not there", help="name one with --system FILE"
    )


def compose_file() -> Path:
    """Gameday's own compose.yml, beside the shipped experiments. Raises UsageError."""
    for place in shipped():
        if is_file(place / _COMPOSE):
            return place / _COMPOSE
    raise UsageError(f"no {_COMPOSE} beside the package", help="pip install gameday, once more")


def _is_path(ref: str, endings: tuple[str, ...]) -> bool:
    return "/" in ref or ref.endswith(endings)


def _existing(path: Path, what: str) -> Path:
    if not is_file(path):
        raise UsageError(f"no {what} {shown_path(path)}", help="it is not there or not a file")
    return path


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
    """A system file, and the users that it names a file of."""

    system: System
    path: Path
    raw: bytes
    document: Document
    users: UserTable | None = None


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
    check_overlays(document)
    whole = document.parse(Experiment)
    if short and whole.short is None:
        raise document.error((), "there is no short form", help="add `short:` or leave out --short")
    if short:
        document = document.overlaid("short")
    experiment = _filled(document.parse(Experiment) if short else whole, seed)
    return LoadedExperiment(experiment, path, raw, document, short)


@dataclass(frozen=True, slots=True)
class LoadedDrill:
    """An experiment as it is drilled: `loaded` has the overlay applied, `drill` is the session's.

    `document` holds the session's keys alone, with their positions; `overlay` names the keys of the
    experiment that `drill:` replaces.
    """

    loaded: LoadedExperiment
    drill: Drill
    document: Document
    overlay: frozenset[str] = frozenset()

    def states(self, key: str) -> bool:
        """True if `drill:` itself has a key of the experiment."""
        return key in self.overlay


def load_drill(ref: str, seed: int | None = None, language: str | None = None) -> LoadedDrill:
    """The experiment of that name or path, with what `drill:` makes of it.

    A file without one is drilled all the same. The seed is `seed`, else random: that of the file
    is known to whoever can read it. Texts that are named by id are in `language`, by default the
    one of the settings. Raises UsageError, and FileError at the first thing that is wrong.
    """
    path = find_experiment(ref)
    document = load(path)
    raw = document.raw
    check_overlays(document)
    whole = document.parse(Experiment)
    written = document.under("drill")
    session = written.only(_session_keys())
    overlay = frozenset(written.plain()) - _session_keys()
    if whole.drill is not None:
        over = document.overlaid("drill")
        document = over.only(_keys_of(Experiment))
    drilled = document.parse(Experiment) if whole.drill is not None else whole
    experiment = _filled(drilled, _random_seed() if seed is None else seed)
    loaded = LoadedExperiment(experiment, path, raw, document)
    spoken = {"language": settings.language() if language is None else language}
    return LoadedDrill(loaded, session.parse(Drill, spoken), session, overlay)


def _keys_of(model: type[Experiment | Drill]) -> set[str]:
    """The keys of a model as they stand in a file."""
    return {info.alias or name for name, info in model.model_fields.items()}


def _session_keys() -> set[str]:
    return _keys_of(Drill)


def check_overlays(document: Document) -> None:
    """`short` and `drill` hold top-level keys, but not the name and neither of them.

    `drill` holds the keys of a session beside them.
    """
    _check_overlay(document, "short", set())
    _check_overlay(document, "drill", _session_keys())


def _check_overlay(document: Document, overlay: str, own: set[str]) -> None:
    step = document.root.child(overlay)
    if step is None or not isinstance(step[1].content, dict):
        return
    allowed = (_keys_of(Experiment) - set(_NOT_IN_OVERLAY)) | own
    for key in step[1].content:
        if key in _NOT_IN_OVERLAY:
            raise document.error((overlay, key), f"{key!r} cannot stand in {overlay!r}")
        if key not in allowed:
            raise document.error(
                (overlay, key), f"unknown key {key!r}", help=one_of_them(key, allowed)
            )


def has_short(document: Document) -> bool:
    """True if the file has a short form."""
    return _has(document, "short")


def has_drill(document: Document) -> bool:
    """True if the file says how it is drilled."""
    return _has(document, "drill")


def _has(document: Document, overlay: str) -> bool:
    step = document.root.child(overlay)
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
    filled = {"seed": seed, "method": method, "expect": expect, "short": None, "drill": None}
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
    system = _with_folders(system, path, document)
    system, users = _with_users(system, path, document)
    return LoadedSystem(system, path, document.raw, document, users)


def _with_users(system: System, path: Path, document: Document) -> tuple[System, UserTable | None]:
    """The users in the file that the system names; its path counts from the system file."""
    users = system.users
    if users is None:
        return system, None
    found = (path.parent / users.file).resolve()
    try:
        table = read_users(found)
    except FileError:
        raise
    except UsageError as error:
        problem = f"'file': {error.message}"
        raise document.error(("users", "file"), problem, help=error.help) from error
    named_in = {"id": [users.id] if users.id else [], "also": users.also, "public": users.public}
    for key, named in named_in.items():
        for at, name in enumerate(named):
            if name not in table.columns:
                where = ("users", key) if key == "id" else ("users", key, at)
                problem = f"{key!r}: the users file has no column {name!r}"
                raise document.error(where, problem, help=one_of_them(name, table.columns))
    if users.sha256 not in (None, table.sha256):
        problem = f"'sha256': the users file has {table.sha256}"
        raise document.error(("users", "sha256"), problem, help="it is another file than was meant")
    named_users = users.model_copy(update={"file": str(found), "sha256": table.sha256})
    return system.model_copy(update={"users": named_users}), table


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


def _with_folders(system: System, path: Path, document: Document) -> System:
    """Commands are run in a folder that counts from the file that names them."""

    def placed(run: T, *loc: str | int) -> T:
        if not isinstance(run, CommandRun):
            return run
        folder = (path.parent / (run.folder or ".")).resolve()
        if not folder.is_dir():
            problem = f"'folder': there is no folder {run.folder!r}"
            raise document.error((*loc, "folder"), problem)
        return run.model_copy(update={"folder": str(folder)})

    acts = [placed(act, "before_run", index) for index, act in enumerate(system.before_run)]
    update = {"audit": placed(system.audit, "audit"), "before_run": acts}
    return system.model_copy(update=update)


def load_playbook(path: Path) -> LoadedPlaybook:
    """The playbook at `path`. Raises FileError."""
    raw = read_bytes(path)
    file = shown_path(path)
    playbook, front, blocks = read_markdown(decode(raw, file), file)
    return LoadedPlaybook(playbook, path, raw, front, blocks)


@dataclass(frozen=True, slots=True)
class FileWarning:
    """Something that is allowed and hardly meant.

    `message` is the sentence of `text`, and `cure` that of its cure, where they have an id.
    """

    place: Place
    text: str
    message: Message | None = None
    cure: Message | None = None

    @classmethod
    def of(cls, place: Place, message: Message, cure: Message) -> "FileWarning":
        """A warning whose sentences have ids, and so languages."""
        return cls(place, f"{message}; {cure}", message, cure)

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Finding = FileError | FileWarning
Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All files of one run. `rules` are the alerting rules that count, `playbook` the one named."""

    experiment: LoadedExperiment
    system: LoadedSystem
    playbook: LoadedPlaybook | None = None
    rules: tuple[Path, ...] = ()


def gather(loaded: LoadedExperiment, system: LoadedSystem) -> Inputs:
    """The experiment and the system with the playbook and the rules they name.

    Raises FileError where a file that is named is not there.
    """
    loaded = with_its_users(loaded, system)
    return Inputs(loaded, system, _playbook(loaded), tuple(_rules(loaded, system)))


def with_its_users(loaded: LoadedExperiment, system: LoadedSystem) -> LoadedExperiment:
    """The experiment with as many users as the system's file has, where it does not say.

    Raises FileError where it asks for more.
    """
    campaign = loaded.experiment.campaign
    if system.users is None:
        return loaded
    rows = system.users.rows
    if "users" not in campaign.model_fields_set:
        campaign = campaign.model_copy(update={"users": rows})
        experiment = loaded.experiment.model_copy(update={"campaign": campaign})
        return replace(loaded, experiment=experiment)
    if campaign.users > rows:
        problem = f"'users': {campaign.users} are more than the {rows} in the system's users file"
        raise loaded.document.error(("campaign", "users"), problem, help=f"at most {rows}")
    return loaded


def _playbook(loaded: LoadedExperiment) -> LoadedPlaybook | None:
    name = loaded.experiment.playbook
    if name is None:
        return None
    path = find_playbook(name, loaded.path)
    if path is None:
        problem = f"'playbook': there is no playbook {name!r}"
        help = one_of_them(name, [each.stem for each in all_playbooks()])
        raise loaded.document.error(("playbook",), problem, help=help)
    return load_playbook(path)


def _rules(loaded: LoadedExperiment, system: LoadedSystem) -> Iterator[Path]:
    """The experiment's rules replace the system's; paths count from the file that names them."""
    own = loaded.experiment.rules
    source: LoadedExperiment | LoadedSystem = system if own is None else loaded
    for index, rule in enumerate(system.system.rules if own is None else own):
        path = source.path.parent / rule
        if not is_file(path):
            raise source.document.error(("rules", index), f"'rules': there is no file {rule!r}")
        yield path


def load_inputs(
    ref: str, system: str | None = None, *, short: bool = False, seed: int | None = None
) -> Inputs:
    """Find and read everything one run needs. Raises UsageError and FileError."""
    loaded = load_experiment(ref, short=short, seed=seed)
    return gather(loaded, load_system(find_system(system)))
