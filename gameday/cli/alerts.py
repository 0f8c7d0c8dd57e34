"""Alert rules held to recorded runs: `gameday alerts replay`, `test`, `mutate`, `lint`, `serve`.

Nothing is started: a run's samples are on disk, and its rules are evaluated as they were live. So
an edited rule is tried on yesterday's incident before anybody is paged by it.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.completion import complete_run
from gameday.cli.find_run import find_run, list_runs, run_argument
from gameday.cli.options import DURATION, Decorated, runs_option
from gameday.cli.terminal import block, echo, emit, one_line, warn
from gameday.cli.words import say, sentence, spoken
from gameday.core.errors import GamedayError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Literal

    from gameday.judge.alert_mutants import MutationReport
    from gameday.judge.alert_replay import RecordedRun
    from gameday.judge.checks.alerts import AlertStatus, Episode
    from gameday.telemetry.alerts.rules import RuleFile

    Version = Literal["2", "3"]

NOT_HELD: Final = 1
VERSIONS: Final = ("2", "3")

rules_option = click.option(
    "--rules",
    "rule_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A rule file in place of the run's own; can be repeated.",
)


def _version_option(help: str) -> Callable[[Decorated], Decorated]:
    return click.option(
        "--prometheus",
        "version",
        type=click.Choice(VERSIONS),
        default="3",
        show_default=True,
        help=help,
    )


@click.group()
def alerts() -> None:
    """Try alert rules on recorded runs: when they would have fired, and what nobody would see."""


@alerts.command()
@run_argument
@rules_option
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(ref: str, rule_files: Sequence[Path], runs_dir: Path, *, as_json: bool) -> None:
    """Play RUN through its rules, or others, and tell when each alert would have fired.

    RUN is a path, a run's name, its last 4 characters, or `last` (the default). Exit code 1 when an
    alert that the experiment expects would have been late or missing, or another would have fired
    that must not.
    """
    from gameday.judge.alert_diagnosis import diagnose
    from gameday.judge.alert_replay import contract, load_run, play, recorded_episodes
    from gameday.judge.checks.alerts import VALIDITY
    from gameday.judge.verdict import Validity

    run = load_run(find_run(ref, runs_dir))
    files = _rules_of(run, rule_files)
    replayed = play(run, files)
    held = diagnose(run, files, contract(run, replayed))
    if as_json:
        emit(_as_json(run, replayed.episodes, held, replayed.problems))
    else:
        _show_episodes(run, replayed.episodes, recorded_episodes(run))
        _show_contract(held)
    for rule, why in replayed.problems.items():
        warn(f"{rule}: had no value at some instants: {why}")
    if any(VALIDITY.get(each.status, Validity.INVALID) is Validity.INVALID for each in held):
        sys.exit(NOT_HELD)


@alerts.command()
@run_argument
@rules_option
@runs_option
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the test goes; default stdout, with absolute paths of rules.",
)
@_version_option("Whose promtool runs it: 2.x counts a sample on the older edge of a window.")
def test(
    ref: str, rule_files: Sequence[Path], runs_dir: Path, path: Path | None, version: str
) -> None:
    """Write a test for `promtool test rules` that reproduces what fired in RUN.

    It holds the recorded samples that the rules read. Keep it beside the rules: who edits them is
    told by promtool what would have changed.
    """
    from gameday.core import files as on_disk
    from gameday.judge.alert_replay import load_run
    from gameday.telemetry.alerts.promtool_test import promtool_test
    from gameday.telemetry.promql.evaluate import PROMETHEUS_2, PROMETHEUS_3

    run = load_run(find_run(ref, runs_dir))
    files = _rules_of(run, rule_files)
    if not run.scrapes:
        raise UsageError(f"run {run.evidence.name} has no samples", help="choose another run")
    semantics = PROMETHEUS_2 if version == "2" else PROMETHEUS_3
    shown = {
        str(each.path): os.path.abspath(each.path)
        if path is None
        else os.path.relpath(each.path, path.parent)
        for each in files
    }
    made = promtool_test(run.scrapes, files, shown, run.evidence.name, semantics)
    if path is None:
        emit(made.text)
        return
    on_disk.replace(path, [made.text.encode()])
    echo(f"{path}: {made.series} series, {made.expectations} expectations", err=True)
    echo(f"  promtool test rules {path}", err=True)


@alerts.command()
@click.argument("refs", metavar="[RUN]...", nargs=-1)
@rules_option
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--at-least", type=click.FloatRange(0, 100), help="Exit 1 below so many percent.")
def mutate(
    refs: Sequence[str],
    rule_files: Sequence[Path],
    runs_dir: Path,
    *,
    as_json: bool,
    at_least: float | None,
) -> None:
    """Change the alert rules in one thing each, and tell which changes no RUN would show.

    Without a RUN, all runs are taken whose expectations of alerts hold with the rules as they are.
    A mutant that nobody notices is an alert that your drills do not test.
    """
    from gameday.judge.alert_mutants import mutate as mutated

    runs, left_out = _runs_to_mutate(refs, runs_dir)
    if not runs:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3])
        raise UsageError(
            f"no run in {runs_dir} can be replayed{': ' if why else ''}{why}",
            help="gameday run makes one",
        )
    report = mutated(runs, _rules_of(runs[0], rule_files))
    found = len(report.outcomes) - len(report.survivors)
    share = 100 * found / len(report.outcomes) if report.outcomes else 100.0
    if as_json:
        emit(_mutants_json(report, share))
    else:
        _show_mutants(report, share)
    for name, why in (*left_out, *report.left_out):
        warn(f"{name}: left out: {why}")
    if not report.used:
        raise UsageError(
            "the expectations of no run hold with these rules", help="see gameday alerts replay"
        )
    if at_least is not None and share < at_least:
        sys.exit(NOT_HELD)


@alerts.command()
@click.argument("refs", metavar="[EXPERIMENT]...", nargs=-1)
@click.option("--system", "system_file", metavar="FILE", help="The system file.")
@click.option("--run", "run_ref", metavar="RUN", help="Look also which series this run had.")
@click.option(
    "--scrape-interval",
    "scrape",
    type=DURATION,
    default="1s",
    show_default=True,
    help="Between two scrapes, where the rules are evaluated.",
)
@runs_option
def lint(
    refs: Sequence[str],
    system_file: str | None,
    run_ref: str | None,
    scrape: "timedelta",
    runs_dir: Path,
) -> None:
    """Find the known traps in alert rules: of EXPERIMENTs, or of all there are.

    Sold-out answers counted as failures, percentiles that are averaged, windows shorter than two
    scrapes, a `for` longer than the fault, alerts about the load generator taken for the service's;
    with --run, series that are not there. Exit code 1 when one is found.
    """
    from gameday.judge.alert_replay import load_run
    from gameday.plan.alert_lint import lint as find_traps
    from gameday.plan.alert_lint import slow_rules
    from gameday.spec.inputs import load_inputs
    from gameday.spec.shipped import all_experiments

    run = None if run_ref is None else load_run(find_run(run_ref, runs_dir))
    scrapes = () if run is None else run.scrapes
    scrape_s = scrape.total_seconds()
    seen: dict[str, None] = {}
    for ref in refs or [str(path) for path in all_experiments()]:
        inputs = load_inputs(ref, system_file)
        for trap in find_traps(inputs, scrapes, scrape_s):
            seen.setdefault(one_line(str(trap)))
        for slow in slow_rules(inputs, scrape_s):
            warn(one_line(str(slow)))
    for trap_line in seen:
        echo(trap_line)
    if seen:
        sys.exit(NOT_HELD)
    echo("no trap was found", err=True)


@alerts.command()
@click.argument("ref", metavar="[RUN]", required=False, shell_complete=complete_run)
@runs_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where it listens, on this machine alone; else 9095 if it is free, else any.",
)
@click.option("--as-now", is_flag=True, help="Move the run in time, as if it had ended just now.")
@_version_option("Answer as this one: 2.x counts a sample on the older edge of a window.")
def serve(
    ref: str | None, runs_dir: Path, port: int | None, *, as_now: bool, version: "Version"
) -> None:
    """Answer the read part of Prometheus' HTTP API over RUN, until Ctrl-C.

    For dashboards, promtool and scripts: RUN is the one that is under way, else the last one, or a
    path, a run's name, its last 4 characters. Only this machine is answered.
    """
    from gameday.cli.query_api import serve_run

    serve_run(ref, runs_dir, port, as_now=as_now, version=version)


def _rules_of(run: "RecordedRun", rule_files: Sequence[Path]) -> "list[RuleFile]":
    """The rules given, else the run's own. Raises FileError, and UsageError for none."""
    from gameday.telemetry.alerts.rules import load_rules

    files = [load_rules(path) for path in rule_files or run.rules]
    if not any(file.alerts for file in files):
        raise UsageError(
            f"run {run.evidence.name} has no alert rules", help="name some with --rules FILE"
        )
    return files


def _runs_to_mutate(
    refs: Sequence[str], runs_dir: Path
) -> "tuple[list[RecordedRun], list[tuple[str, str]]]":
    """The runs named, or all that can be replayed and those that cannot, each with why."""
    from gameday.judge.alert_replay import load_run

    if refs:
        return [load_run(find_run(ref, runs_dir)) for ref in refs], []
    runs, left_out = [], []
    for path in list_runs(runs_dir):
        try:
            runs.append(load_run(path))
        except GamedayError as error:
            left_out.append((path.name, error.message))
    return runs, left_out


def _show_episodes(
    run: "RecordedRun", found: "Sequence[Episode]", recorded: "Sequence[Episode]"
) -> None:
    from gameday.cli.drawing import SafeConsole, table

    told = table(
        *(
            sentence(f"replay.{name}")
            for name in ("alert", "pending", "fired", "resolved", "in_the_run")
        )
    )
    fired: dict[str, list[Any]] = {}
    for each in recorded:
        fired.setdefault(each.alert, []).append(each.fired_at_ns)
    for each in found:
        then = fired.get(each.alert) or [None]
        told.add_row(
            one_line(each.alert),
            *(_at(run, t) for t in (each.active_at_ns, each.fired_at_ns, each.resolved_at_ns)),
            _at(run, then.pop(0)) if each.alert in fired and then else sentence("replay.not"),
        )
    for name, times in fired.items():
        for time_ns in times:
            told.add_row(one_line(name), "-", "-", "-", _at(run, time_ns))
    if told.row_count:
        SafeConsole().print(told)
    else:
        echo(sentence("replay.none"))


def _at(run: "RecordedRun", time_ns: int | None) -> str:
    if time_ns is None:
        return "-"
    return sentence("unit.s", n=f"{run.evidence.seconds(time_ns):.1f}")


def _show_contract(held: "Sequence[AlertStatus]") -> None:
    from gameday.report.messages import Messages

    messages = Messages(spoken())
    for each in held:
        expected = "alert_expected" if each.expected else "alert_not_expected"
        word = "unexpected" if each.status == "false" else each.status
        status, why = (
            messages.word(word).strip("*"),
            one_line(each.explanation.text(messages.language)),
        )
        echo(f"{one_line(each.alert)}: {status} ({say(expected)}): {why}")


def _as_json(
    run: "RecordedRun",
    found: "Sequence[Episode]",
    held: "Sequence[AlertStatus]",
    problems: dict[str, str],
) -> str:
    seconds = run.evidence.seconds
    made = {
        "run": run.evidence.name,
        "alerts": [
            {
                "alert": each.alert,
                "active_at": seconds(each.active_at_ns),
                "fired_at": seconds(each.fired_at_ns),
                "resolved_at": seconds(each.resolved_at_ns),
            }
            for each in found
        ],
        "expectations": [
            {
                "alert": each.alert,
                "expected": each.expected,
                "status": each.status,
                "why": each.explanation.text(),
            }
            for each in held
        ],
        "problems": problems,
    }
    return json.dumps(made, indent=1) + "\n"


def _show_mutants(report: "MutationReport", share: float) -> None:
    for each in report.survivors:
        kind = f"{each.of.alert}: {each.kind}: {each.change}"
        echo(sentence("mutate.survivor", place=str(each.of.place), what=block(one_line(kind))))
    noticed, runs = len(report.outcomes) - len(report.survivors), len(report.used)
    counts = {"noticed": noticed, "all": len(report.outcomes), "n": runs, "share": share}
    echo(sentence("mutate.sum_one" if runs == 1 else "mutate.sum", **counts))


def _mutants_json(report: "MutationReport", share: float) -> str:
    made = {
        "share": round(share, 3),
        "runs": list(report.used),
        "mutants": [
            {
                "alert": each.mutant.of.alert,
                "place": str(each.mutant.of.place),
                "kind": each.mutant.kind,
                "change": each.mutant.change,
                "noticed_by": [
                    {"run": name, "alert": status.alert, "status": status.status}
                    for name, status in each.noticed_by
                ],
            }
            for each in report.outcomes
        ],
    }
    return json.dumps(made, indent=1) + "\n"
