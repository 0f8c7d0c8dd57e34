"""Commands about files: `list`, `show`, `validate`, `schema`. They touch nothing else.

What only prints is imported when it prints: `validate` has half a second, cold.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.completion import complete_day, complete_experiment
from gameday.cli.options import allow_target
from gameday.cli.terminal import cut, echo, emit, one_line, print_error, warn
from gameday.core import settings
from gameday.core.errors import GamedayError, UsageError
from gameday.core.files import is_file

if TYPE_CHECKING:
    from gameday.core.network.allow_list import Allowed
    from gameday.plan.rot import Surroundings
    from gameday.spec.faults import AnyFault
    from gameday.spec.inputs import (
        FileWarning,
        Inputs,
        LoadedExperiment,
        LoadedPlaybook,
        LoadedSystem,
    )

KINDS = (
    *("experiment", "drill", "day", "system", "playbook", "settings"),
    *("readiness", "report", "action-items"),
)


@dataclass(slots=True)
class _Judged:
    """Warnings and the error of one file."""

    file: str
    warnings: list[str] = field(default_factory=list)
    error: GamedayError | None = None

    def as_json(self) -> object:
        error: dict[str, str] | None = None
        if self.error is not None:
            page = {"page": self.error.page} if self.error.page else {}
            error = {"message": self.error.message, "help": self.error.help, **page}
        return {"file": self.file, "ok": not error, "warnings": self.warnings, "error": error}


@click.command()
@click.argument("files", nargs=-1, metavar="[EXPERIMENT|DAY|FILE]...", shell_complete=complete_day)
@click.option("--system", "system_file", metavar="FILE", help="The system file to check against.")
@click.option("--links", is_flag=True, help="Ask the web addresses that playbooks link to.")
@allow_target("With --links: a host that is not this machine and may be asked. Can be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def validate(
    files: tuple[str, ...],
    system_file: str | None,
    allowed: "Allowed",
    *,
    links: bool,
    as_json: bool,
) -> None:
    """Check experiments, playbooks and game days without touching anything.

    A name or a path for each; without any, all of them. Short forms and
    drills are checked too. Playbooks (.md) and system files can be named by path. A playbook is
    held against what there is now: metrics, alerts, actions, addresses, commands, links, steps.
    """
    from gameday.spec.shipped import all_days, all_experiments, all_playbooks

    experiments = [str(path) for path in all_experiments()]
    if not files and not experiments:
        raise UsageError("no experiment to check", help="there is no folder `experiments` here")
    others = (*all_playbooks(), *all_days())
    refs = files or (*experiments, *(str(path) for path in others))
    asked = allowed if links else None
    judged = list(_judge_all(refs, system_file, asked, playbooks_too=bool(files)))
    if as_json:
        emit(json.dumps([each.as_json() for each in judged], indent=2) + "\n")
    else:
        for each in judged:
            _print_judged(each)
    errors = [each.error for each in judged if each.error is not None]
    if errors:
        sys.exit(errors[0].exit_code)


def _judge_all(
    refs: Iterable[str],
    system_file: str | None,
    allowed: "Allowed | None" = None,
    *,
    playbooks_too: bool = True,
) -> Iterator[_Judged]:
    """Each file by itself; the system file is read once."""
    return _Judge(system_file, allowed, playbooks_too).all(refs)


@dataclass(slots=True)
class _Judge:
    """Looks at one file after the other; what is around them is read once.

    `allowed` says whom links may be asked of, None: nobody. `playbooks_too`: the playbook of an
    experiment is looked at with it, because it will not be for itself.
    """

    system_file: str | None
    allowed: "Allowed | None" = None
    playbooks_too: bool = False
    _system: "LoadedSystem | None" = None
    _around: "Surroundings | None" = None

    def all(self, refs: Iterable[str]) -> Iterator[_Judged]:
        """Each file by itself."""
        from gameday.spec.inputs import find_system, load_system
        from gameday.spec.yaml import shown_path

        self._system = load_system(find_system(self.system_file))
        for ref in refs:
            judged = _Judged(ref)
            try:
                kind = kind_of(ref)
                path = _path(kind, ref)
                judged.file = shown_path(path)
                found = map(cut, self._warnings(kind, path, self._system))
                judged.warnings = list(dict.fromkeys(found))
            except GamedayError as error:
                judged.error = error
            yield judged

    def _warnings(self, kind: str, path: Path, system: "LoadedSystem") -> Iterator[str]:
        from gameday.plan.rot import surroundings
        from gameday.plan.validate import (
            validate_alone,
            validate_day,
            validate_drill,
            validate_playbook,
            validate_system,
        )
        from gameday.spec.day_files import day_system, load_day
        from gameday.spec.inputs import (
            gather,
            has_drill,
            has_short,
            load_drill,
            load_experiment,
            load_playbook,
            load_system,
        )

        if kind == "playbook":
            book = load_playbook(path)
            yield from map(str, validate_playbook(book, system))
            yield from map(str, self._rot(book, system))
            return
        if kind == "system":
            named = load_system(path)
            yield from map(str, validate_system(named))
            surroundings(named)  # raises for a catalogue that is not there
            return
        if kind == "day":
            day = load_day(str(path))
            named = system if day.system is None else load_system(day_system(day))
            yield from map(str, validate_day(day, named, by_file=self.system_file is None))
            return
        loaded = load_experiment(str(path))
        inputs = gather(loaded, system)
        yield from map(str, validate_alone(inputs))
        if inputs.playbook is not None and self.playbooks_too:
            yield from map(str, self._rot(inputs.playbook, system))
        if has_short(loaded.document):
            short = load_experiment(str(path), short=True)
            yield from map(str, validate_alone(gather(short, system)))
        if has_drill(loaded.document):
            yield from map(str, validate_drill(load_drill(str(path), seed=0), system))

    def _rot(self, book: "LoadedPlaybook", system: "LoadedSystem") -> "Iterator[FileWarning]":
        from gameday.cli.rot import ask_links, understand
        from gameday.core.network import event_loop
        from gameday.plan.rot import pages_of, rot, surroundings
        from gameday.plan.rot.links import web

        if self._around is None:
            self._around = surroundings(system, understand)
        yield from rot(book, system, self._around)
        if self.allowed is not None:
            asked = ask_links(web(pages_of(book)), self.allowed)
            yield from event_loop.run(asked, self.allowed)


def kind_of(ref: str) -> str:
    """The kind of a file: Markdown is a playbook, and only a system has a `base_url`.

    Only a day has an agenda. A name is an experiment's where there is one, else a day's.
    """
    from gameday.spec.day_files import is_day, is_path
    from gameday.spec.shipped import all_days, all_experiments
    from gameday.spec.yaml import load

    path = Path(ref)
    if path.suffix == ".md":
        return "playbook"
    if not is_path(ref):
        is_experiment = ref in {each.stem for each in all_experiments()}
        return "day" if not is_experiment and ref in map(_stem, all_days()) else "experiment"
    if path.suffix not in (".yaml", ".yml") or not is_file(path):
        return "experiment"
    if load(path).root.child("base_url"):
        return "system"
    return "day" if is_day(path) else "experiment"


def _stem(path: Path) -> str:
    return path.stem


def _path(kind: str, ref: str) -> Path:
    """The file that a reference of that kind means. Raises UsageError."""
    from gameday.spec.day_files import find_day
    from gameday.spec.inputs import find_experiment

    if kind == "experiment":
        return find_experiment(ref)
    return (find_day(ref) if kind == "day" else None) or Path(ref)


def _print_judged(judged: _Judged) -> None:
    if judged.error is not None:
        print_error(judged.error)
        return
    from gameday.cli.words import sentence

    count = len(judged.warnings)
    note = sentence("validate.one" if count == 1 else "validate.some", n=count) if count else ""
    echo(f"{sentence('validate.ok')}  {judged.file}{note}")
    for warning in judged.warnings:
        echo(f"    {sentence('validate.warning')}: {warning}")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(as_json: bool) -> None:  # noqa: FBT001  click passes it by name
    """List the experiments that can be run, and the game days."""
    from gameday.spec.shipped import all_experiments
    from gameday.spec.translations import translated

    rows = [_row(path) for path in all_experiments()]
    if as_json:
        emit(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        return
    from gameday.cli.drawing import SafeConsole, joined, styled, table
    from gameday.cli.words import sentence, spoken

    told = table()
    told.add_column(sentence("list.experiment"), no_wrap=True)
    told.add_column(sentence("list.length"), no_wrap=True, justify="right")
    told.add_column(sentence("list.short"), no_wrap=True, justify="right")
    told.add_column(sentence("list.drill"), no_wrap=True)
    told.add_column(sentence("list.what"))
    for row in rows:
        faults = styled("".join(f"\n{fault}" for fault in row.faults), "red")
        book = styled(f"\n{row.playbook}.md" if row.playbook else "", "green")
        what = joined(translated(row.title, spoken()), faults, book)
        lengths = (_words_of(each) for each in (row.length, row.short or "–"))
        told.add_row(one_line(row.name), *lengths, _drill_words(row.drill), what)
    SafeConsole().print(told)
    _list_days()


def _words_of(length: str) -> str:
    from gameday.cli.words import spoken
    from gameday.core.messages import duration_text

    return duration_text(length, spoken())


def _drill_words(drill: str | None) -> str:
    """`easy, 15 min` as two lines in the language of the screen."""
    from gameday.cli.words import sentence

    if drill is None:
        return "–"
    difficulty, _, minutes = drill.partition(", ")
    length = sentence("list.minutes", n=minutes.removesuffix(" min"))
    return f"{sentence(f'list.{difficulty}')}\n{length}"


def _list_days() -> None:
    """Print the game days below the experiments."""
    from gameday.cli.drawing import SafeConsole, table
    from gameday.cli.words import sentence
    from gameday.spec.day_files import load_day
    from gameday.spec.shipped import all_days

    shown = table()
    shown.add_column(sentence("list.day"), no_wrap=True)
    shown.add_column(sentence("list.agenda"))
    days = all_days()
    for path in days:
        try:
            day = load_day(str(path), language=settings.language())
            names = ", ".join(each.experiment for each in day.day.experiments)
            shown.add_row(one_line(day.day.name), f"{day.title}\n{names}")
        except GamedayError as error:
            shown.add_row(one_line(path.stem), error.message)
    if days:
        echo()
        SafeConsole().print(shown)


@dataclass(frozen=True, slots=True)
class _Row:
    """One experiment in a few words."""

    name: str
    title: str
    faults: Sequence[str] = ()
    length: str = "–"
    short: str | None = None
    drill: str | None = None
    playbook: str | None = None
    file: str = ""


def _row(path: Path) -> _Row:
    """One experiment in a few words; a broken file is shown with what is wrong."""
    from gameday.spec.inputs import has_drill, has_short, load_drill, load_experiment

    try:
        loaded = load_experiment(str(path))
        short = load_experiment(str(path), short=True) if has_short(loaded.document) else None
        drill = load_drill(str(path)).drill if has_drill(loaded.document) else None
    except GamedayError as error:
        return _Row(path.stem, error.message, file=str(path))
    return _Row(
        name=loaded.experiment.name,
        title=loaded.experiment.title,
        faults=[_fault(fault) for fault in loaded.experiment.method],
        length=_length(loaded),
        short=_length(short) if short else None,
        drill=f"{drill.difficulty}, {drill.minutes} min" if drill else None,
        playbook=loaded.experiment.playbook,
        file=str(path),
    )


def _fault(fault: "AnyFault") -> str:
    return fault.fault if fault.on == "traffic" else f"{fault.fault} {fault.on}"


def _length(loaded: "LoadedExperiment") -> str:
    from datetime import timedelta

    from gameday.core.units import format_duration
    from gameday.traffic.forecast import traffic_end_s

    return format_duration(timedelta(seconds=traffic_end_s(loaded.experiment)))


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@click.option("--short", is_flag=True, help="Show the short form.")
@click.option("--system", "system_file", metavar="FILE", help="The system file it is about.")
@click.option("--json", "as_json", is_flag=True, help="Print it with every default filled in.")
def show(experiment: str, short: bool, system_file: str | None, as_json: bool) -> None:  # noqa: FBT001  click passes them by name
    """Show an experiment: what is asked, broken and expected."""
    from gameday.evidence.effective import dump
    from gameday.plan.validate import validate_alone
    from gameday.spec.inputs import load_inputs
    from gameday.telemetry.failures import filled_inputs

    inputs: Inputs = filled_inputs(load_inputs(experiment, system_file, short=short))
    warnings = validate_alone(inputs)
    if as_json:
        emit(json.dumps(dump(inputs.experiment.experiment), indent=2) + "\n")
        return
    from gameday.cli.picture import draw

    draw(inputs)
    for warning in warnings:
        warn(str(warning))


@click.command()
@click.argument("kind", type=click.Choice(KINDS), required=False, metavar="[KIND]")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write them for an editor: KIND.schema.json of each kind, or of KIND alone.",
)
def schema(kind: str | None, folder: Path | None) -> None:
    """Print the JSON Schema of a kind of file, of an experiment where none is named.

    KIND is experiment, drill, day, system, playbook, settings, readiness, report or action-items.
    Editors check and complete YAML with it. A drill is what `drill:` of an experiment holds beside
    the experiment's own keys. A playbook has two parts: its front matter, and the block of a step.
    `readiness` is what `gameday readiness --json` prints, `report` what `gameday report --format
    json` writes, and `action-items` what `gameday action-items --json` prints.
    """
    if folder is None:
        emit(_schema_text(kind or "experiment"))
        return
    from gameday.cli.schema_files import write_schema

    for each in (kind,) if kind else KINDS:
        echo(write_schema(folder, each, _schema_text(each)))


def _schema_text(kind: str) -> str:
    return json.dumps(_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _schema(kind: str) -> object:
    from gameday.spec.day import Day
    from gameday.spec.drill import Drill
    from gameday.spec.experiment import Experiment
    from gameday.spec.playbook import FrontMatter, StepBlock
    from gameday.spec.system import System
    from gameday.spec.yaml import Model

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if kind == "settings":
        return {**dialect, **settings.json_schema()}
    if kind in {"report", "action-items"}:
        from gameday.report.result_json import written_as

        return {**dialect, **written_as(kind).json_schema()}
    if kind == "readiness":
        from pydantic import TypeAdapter

        from gameday.drills.readiness import Readiness

        return {**dialect, **TypeAdapter(Readiness).json_schema(mode="serialization")}
    if kind == "playbook":
        parts = {
            "front_matter": FrontMatter.model_json_schema(),
            "step": StepBlock.model_json_schema(),
        }
        return {**dialect, "$defs": parts}
    models: dict[str, type[Model]] = {
        "system": System,
        "drill": Drill,
        "day": Day,
        "experiment": Experiment,
    }
    return {**dialect, **models[kind].model_json_schema(by_alias=True)}
