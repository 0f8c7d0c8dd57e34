"""`gameday report RUN`: the report of a run in a form, its status, and whether its numbers hold."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from gameday.cli.find_run import RESULT, find_day_dir, find_run, list_runs, run_argument
from gameday.cli.form_file import write_form
from gameday.cli.options import lang_option, runs_option
from gameday.cli.terminal import echo, warn
from gameday.core import files
from gameday.core.digests import begin_digests
from gameday.core.errors import UsageError
from gameday.core.report_forms import FORMS, MARKDOWN

STATUSES: Final = ("draft", "in-review", "final")
NOT_SUPPORTED: Final = 1


@click.command()
@lang_option
@run_argument
@runs_option
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMS]),
    default=MARKDOWN,
    show_default=True,
    help="The form to write it in.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write it, `-` for here; not for md, which people edit.",
)
@click.option("--status", type=click.Choice(STATUSES), help="Set the status of the draft.")
@click.option("--owner", metavar="NAME", help="Set who owns the draft: a team, or a role.")
@click.option(
    "--lint", is_flag=True, help="Look whether each number of the draft is in the evidence."
)
def report(
    ref: str,
    runs_dir: Path,
    form: str,
    output: str | None,
    *,
    status: str | None,
    owner: str | None,
    lint: bool,
) -> None:
    """Write the report of RUN again, or set the status of its draft.

    RUN is a path, a run's name, its last 4 characters, or `last` (the default); or a game day, by
    its directory, its name or its last 4 characters. A draft that somebody has edited stays; the
    new one is written beside it. --status and --owner change the head of the draft and nothing else
    in it. A run that was killed before it was judged is judged first. --lint ends with 1 where a
    number has no source.
    """
    _fits(form, output, lint=lint, changes=status is not None or owner is not None)
    day = find_day_dir(ref, runs_dir)
    if day is not None:
        if lint:
            raise UsageError("--lint is for the drafts of runs", help="gameday report RUN --lint")
        from gameday.cli.days import report_day

        report_day(day, form, output, status=status, owner=owner)
        return
    run_dir = find_run(ref, runs_dir)
    if not lint or not (run_dir / RESULT).is_file():
        _must_have_ended(run_dir)
    _judged(run_dir, keep_baselines=not lint)
    if lint:
        _lint(run_dir, form)
    elif status is not None or owner is not None:
        _set_head(run_dir, status, owner)
    elif form == MARKDOWN:
        from gameday.report import write_report

        echo(str(write_report(run_dir)))
    else:
        _write(run_dir, form, output, list_runs(run_dir.parent))


def _fits(form: str, output: str | None, *, lint: bool, changes: bool) -> None:
    """Raise UsageError for options that do not go together."""
    if lint and changes:
        raise UsageError("--lint changes nothing", help="leave --status and --owner out")
    if output is not None and (form == MARKDOWN or lint or changes):
        raise UsageError(
            "-o is for a form that is not md", help="add --format html, pdf, json or junit"
        )


def _must_have_ended(run_dir: Path) -> None:
    """Raise UsageError for a run that is under way."""
    from gameday.injection.heal import is_under_way

    if is_under_way(run_dir):
        raise UsageError(
            f"run {run_dir.name} is under way: it writes its own report when it ends",
            help="gameday stop ends it",
        )


def _judged(run_dir: Path, *, keep_baselines: bool) -> None:
    """Judge the run where nobody has; of a drill, keep the baselines that its draft shows."""
    if not (run_dir / RESULT).is_file():
        from gameday.evidence.read import read as read_evidence
        from gameday.judge.judge import judge

        files.replace(run_dir / RESULT, [judge(read_evidence(run_dir)).to_bytes()])
    if keep_baselines:
        from gameday.drills.baselines import settle

        settle(run_dir)


def _write(run_dir: Path, form: str, output: str | None, run_dirs: list[Path]) -> None:
    """Write a form that nobody edits."""
    from gameday.report.formats import MAKERS

    made = MAKERS[form](run_dir, run_dirs)
    for problem in made.problems:
        warn(problem)
    write_form(made.raw, form, output, run_dir / FORMS[form])


def _set_head(run_dir: Path, status: str | None, owner: str | None) -> None:
    """Change the head of the draft; write the draft first where there is none."""
    from gameday.report import write_report
    from gameday.report.draft_file import DRAFT

    path = run_dir / DRAFT
    if not path.exists() and not path.is_symlink():
        write_report(run_dir)
    change_head(path, status, owner)


def change_head(path: Path, status: str | None, owner: str | None) -> None:
    """Change the head of a draft that is there. Raises UsageError."""
    from datetime import UTC, datetime

    from gameday.core.clock import wall_time_ns
    from gameday.report.draft_file import read_draft, set_head

    if owner is not None and (not owner.strip() or len(owner) > 200 or not owner.isprintable()):
        raise UsageError(f"--owner {owner!r:.60}: is no name", help="a team or a role, on one line")
    before = read_draft(path)
    if status == "final" and not (owner or before.head.owner):
        raise UsageError(f"{path}: nobody owns it", help="say who: --owner NAME")
    changes: dict[str, str] = {}
    if status is not None:
        today = datetime.fromtimestamp(wall_time_ns() / 1e9, UTC).date()
        changes |= {"status": status.replace("-", " "), "date": today.isoformat()}
    if owner is not None:
        changes |= {"owner": owner.strip()}
    set_head(path, changes)
    _show_head(path, changes, before.to_do)


def _show_head(path: Path, changes: Mapping[str, str], to_do: int) -> None:
    told = ", ".join(f"{key}: {value}" for key, value in changes.items())
    echo(f"{path}: {told}")
    if changes.get("status") == "final" and to_do:
        warn(f"{to_do} of its questions to a person are not answered yet: TODO(person)")


def _lint(run_dir: Path, form: str) -> None:
    """Tell of each number of the draft, or of the page, that the evidence does not have."""
    import gc

    if form not in {"md", "html"}:
        raise UsageError(f"--lint cannot read {form}", help="leave --format out, or say html")
    # A third of the time, imports too; the process ends with this: nothing is worth collecting.
    gc.disable()
    begin_digests([*run_dir.glob("*.json*"), *run_dir.glob("history/*")], files.GIB)
    from gameday.report.lint import lint

    path = run_dir / FORMS[form]
    found = lint(run_dir, path)
    gc.freeze()  # nor at the end of the process
    for each in found.unsupported:
        echo(f"{files.shown_path(path)}:{each.line}: {each.number}: {each.why}")
    echo(
        f"{found.numbers} numbers: {found.numbers - len(found.unsupported)} have a source, "
        f"{found.of_template} of them in sentences of gameday's own; "
        f"{len(found.unsupported)} have none"
    )
    if found.unsupported:
        sys.exit(NOT_SUPPORTED)
