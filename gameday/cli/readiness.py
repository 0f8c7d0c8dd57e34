"""`gameday readiness`: which playbooks are proven by the runs there are, and which have got old."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gameday.cli.options import AGE_UNITS_S, AgeType, lang_option, runs_option
from gameday.cli.terminal import block, emit, one_line
from gameday.cli.words import say, spoken, word
from gameday.core.errors import FileError, GamedayError
from gameday.core.language import ENGLISH

if TYPE_CHECKING:
    from gameday.cli.drawing import SafeConsole
    from gameday.core.secrets.signing import SigningKey
    from gameday.drills.readiness import LastWork, PlaybookReadiness, Readiness, Shelf
    from gameday.spec.inputs import LoadedSystem

NOT_READY = 1
COLOURS = {"works": "green", "ready": "green", "failed": "red", "broken": "red"}


@click.command()
@lang_option
@runs_option
@click.option(
    "--max-age", default="90d", type=AgeType(), show_default=True, help="Older is not ready."
)
@click.option("--system", "system_file", metavar="FILE", help="The system file, for its alerts.")
@click.option(
    "--by",
    "whose",
    type=click.Choice(["anyone", "person", "bot"]),
    default="anyone",
    show_default=True,
    help="Whose work proves a step.",
)
@click.option("--anonymous", is_flag=True, help="Numbers in place of the names of people.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: gameday schema readiness.")
def readiness(
    runs_dir: Path,
    max_age: int,
    system_file: str | None,
    whose: "Any",
    *,
    anonymous: bool,
    as_json: bool,
) -> None:
    """Tell which playbooks and steps the runs prove, and which alerts nobody has seen.

    Exit code 1 when a step or a playbook was not seen to work within --max-age, as it is now.
    """
    import json
    from dataclasses import asdict

    from gameday.cli.find_run import list_runs
    from gameday.core.clock import wall_time_ns
    from gameday.drills.readiness import ReadinessQuestion, read_all
    from gameday.drills.readiness import readiness as report_of
    from gameday.spec.inputs import find_system, load_system

    system = load_system(find_system(system_file))
    now_ns = wall_time_ns()
    question = ReadinessQuestion(now_ns=now_ns, max_age_s=max_age, whose=whose, anonymous=anonymous)
    found = read_all(list_runs(runs_dir), user_key(), now_ns)
    report = report_of(found, playbooks_today(system), set(seen_alerts(system)), question)
    if as_json:
        emit(json.dumps(asdict(report), indent=1) + "\n")
    else:
        _show(report, runs_dir)
    if not report.ready:
        sys.exit(NOT_READY)


def user_key() -> "SigningKey | None":
    """The user's own key, None where there is none yet, or none that can be used."""
    from gameday.core.files.private import state_dir
    from gameday.core.secrets.signing import NoKeyError, read_key

    try:
        return read_key(state_dir())
    except NoKeyError:
        return None


def playbooks_today(system: "LoadedSystem") -> "Sequence[Shelf]":
    """The playbooks of today; one that is broken is told as that."""
    from gameday.drills.readiness import Shelf
    from gameday.plan.validate import validate_playbook
    from gameday.spec.inputs import load_playbook
    from gameday.spec.shipped import all_playbooks
    from gameday.spec.yaml import shown_path

    found = []
    for path in all_playbooks():
        playbook, problem = None, ""
        try:
            loaded = load_playbook(path)
            playbook = loaded.playbook
            validate_playbook(loaded, system)
        except GamedayError as error:
            problem = error.message
        found.append(Shelf(path.stem, shown_path(path), playbook, problem))
    return found


def seen_alerts(system: "LoadedSystem") -> Iterator[str]:
    """The alerts of the rule files that runs here use. Raises FileError for a broken one."""
    from gameday.spec.inputs import load_experiment
    from gameday.spec.shipped import all_experiments
    from gameday.telemetry.alerts.rules import load_rules

    paths = [system.path.parent / rule for rule in system.system.rules]
    for experiment in all_experiments():
        try:
            loaded = load_experiment(str(experiment))
        except FileError:
            continue  # `gameday validate` says so
        paths += [experiment.parent / rule for rule in loaded.experiment.rules or ()]
    for path in dict.fromkeys(path.resolve() for path in paths):
        yield from (rule.alert for rule in load_rules(path).alerts)


def _show(report: "Readiness", runs_dir: Path) -> None:
    """Print the report for people, at 80 columns if need be."""
    from gameday.cli.drawing import SafeConsole

    console = SafeConsole()
    _show_playbooks(report, console)
    _show_people(report, console)
    console.print()
    for line in _sums(report, runs_dir):
        console.print(block(line))


def _sums(report: "Readiness", runs_dir: Path) -> Iterator[str]:
    """The sentences below the tables."""
    if never := report.never_seen:
        shown = ", ".join(never)
        yield say("ready_never_seen", n=len(never), all=len(report.alerts), names=shown)
    elif report.alerts:
        yield say("ready_all_seen", all=len(report.alerts))
    yield say("ready_runs", counted=report.counted, read=report.read, runs=runs_dir)
    for each in report.left_out:
        yield say("ready_left_out", run=one_line(each.run), kind=each.kind, why=each.why)
    for run, why in report.foreign.items():
        yield say("ready_foreign", run=one_line(run), why=why)
    ready = sum(book.ready for book in report.playbooks)
    whom = "" if report.whose == "anyone" else say("ready_by", whose=report.whose)
    behind = "" if report.ready else say("ready_behind", age=age(report.max_age_s))
    yield say("ready_sum", ready=ready, all=len(report.playbooks), whom=whom, behind=behind)


def _show_playbooks(report: "Readiness", console: "SafeConsole") -> None:
    from rich.cells import cell_len, set_cell_size

    from gameday.cli.drawing import styled, table

    rows = [row for book in report.playbooks for row in rows_of(book)]
    heads = _Row(*(say(f"ready_{name}") for name in ("book", "state", "person", "bot")))
    rows = [row._replace(state=_state_word(row.state), kind=row.state) for row in rows]
    widths = [max(cell_len(row[n]) for row in [heads, *rows]) for n in range(1, 4)]
    # rich keeps room for the padding of both edges, which it does not print
    most = max(16, console.width - sum(widths) - 2 * len(widths) - 2)
    told = table(*heads)
    for row in rows:
        fits = cell_len(row.name) <= most  # a Hangul syllable is two cells wide
        name = row.name if fits else f"{set_cell_size(row.name, most - 1).rstrip()}…"
        shown = styled(name, "" if name.startswith(" ") else "bold")
        told.add_row(shown, styled(row.state, COLOURS.get(row.kind, "yellow")), *row[2:4])
    console.print(told)
    for book in (book for book in report.playbooks if book.problem):
        console.print(block(say("ready_broken", problem=book.problem)))


class _Row(NamedTuple):
    """A line of the table; one of a step is indented."""

    name: str
    state: str
    person: str = ""
    bot: str = ""
    kind: str = ""


def rows_of(book: "PlaybookReadiness") -> Iterator[_Row]:
    """The line of a playbook, and one for each of its steps."""
    state = "broken" if book.problem else "ready" if book.ready else "not_ready"
    yield _Row(one_line(book.name), state)
    from gameday.spec.translations import translated

    for step in book.steps:
        bot = say("ready_for_person") if step.do is None and step.bot is None else _last(step.bot)
        name = f"  {step.step}. {one_line(_short(translated(step.text, spoken())))}"
        yield _Row(name, step.state, _last(step.person), bot)


def _show_people(report: "Readiness", console: "SafeConsole") -> None:
    from gameday.cli.drawing import table

    if not report.people:
        return
    told = table()
    for head in ("who", "took_part", "as", "when"):
        told.add_column(say(f"ready_{head}"))
    for person in report.people:
        for n, each in enumerate(person.took_part):
            what = f"{each.experiment} ({each.mode})"
            orders = say("ready_order" if each.orders == 1 else "ready_orders", n=each.orders)
            roles = f"{each.role}, {orders}" if each.role else orders
            told.add_row("" if n else one_line(person.who), what, roles, each.at[:10])
    console.print()
    console.print(told)


def _short(text: str) -> str:
    """The first sentence of a step."""
    return text.partition(". ")[0].partition(": ")[0]


def _last(work: "LastWork | None") -> str:
    """`3 d ago, done`; a star where the step was another one then."""
    if work is None:
        return say("ready_never")
    ago = say("ready_ago", age=age(work.age_s), status=_plain(work.status))
    return f"{ago}{' *' if work.changed else ''}"


def _state_word(state: str) -> str:
    return word(_plain(state))


def _plain(status: str) -> str:
    """A status without its underscore where it is shown as the code has it."""
    return status.replace("_", " ") if spoken() == ENGLISH else status


def age(seconds: int) -> str:
    """An age in its largest unit that says something: `90d`, `3h`, `20s`."""
    for unit, least_s in (("d", 2 * 86_400), ("h", 2 * 3600), ("m", 120)):
        if seconds >= least_s:
            return f"{seconds // AGE_UNITS_S[unit]}{unit}"
    return f"{seconds}s"
