"""`gameday site DIR`: a static site of all runs, of each experiment, and of the readiness."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import runs_option
from gameday.cli.terminal import echo, warn
from gameday.cli.words import sentence
from gameday.core import settings
from gameday.core.clock import wall_time_ns
from gameday.core.errors import GamedayError, UsageError

if TYPE_CHECKING:
    from gameday.drills.readiness import Readiness
    from gameday.report.site.pages import SiteReadiness

DAY_S = 86_400
MAX_AGE_S = 90 * DAY_S


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@runs_option
@click.option("--system", "system_file", metavar="FILE", help="The system file, for its alerts.")
def site(folder: Path, runs_dir: Path, system_file: str | None) -> None:
    """Write a static site of all runs and game days into DIR, for a team's web server.

    It needs no script and no network, works below any path, and opens from disk. DIR is a folder of
    its own: one that holds anything but an earlier site is refused. Runs that are as they were are
    taken over. No person is named in it, but for what people wrote into postmortems.
    """
    from gameday.cli.find_run import list_runs
    from gameday.report.messages import Messages
    from gameday.report.past_runs import read_past_runs
    from gameday.report.site.build import build_site
    from gameday.report.site.days import read_days

    _must_be_apart(folder, runs_dir)
    run_dirs = [path for path in list_runs(runs_dir) if not path.is_symlink()]
    found = read_past_runs(run_dirs)
    readiness = _readiness(run_dirs, system_file)
    say, days = Messages(settings.language()), read_days(runs_dir)
    built = build_site(folder, found, say, readiness=readiness, days=days)
    index = str(folder / "index.html")
    echo(sentence("site_built.done", path=index, runs=built.runs, made=built.made))
    for run, why in found.left_out.items():
        echo(sentence("trend.left_out", run=run, why=why), err=True)


def _must_be_apart(folder: Path, runs_dir: Path) -> None:
    """Raise UsageError for a site that would stand in the place of the evidence."""
    place, runs = folder.absolute().resolve(), runs_dir.absolute().resolve()
    if place == runs or place in runs.parents or place == Path.cwd().resolve():
        raise UsageError(
            f"{folder}: a site takes the whole folder, and the runs are in there",
            help="name a folder of its own: gameday site public/gamedays",
        )


def _readiness(run_dirs: list[Path], system_file: str | None) -> "SiteReadiness | None":
    """The readiness without the names of people; None, with a warning, where it cannot be told."""
    from gameday.cli.readiness import playbooks_today, seen_alerts, user_key
    from gameday.drills.readiness import ReadinessQuestion, read_all
    from gameday.drills.readiness import readiness as report_of
    from gameday.spec.inputs import find_system, load_system

    now_ns = wall_time_ns()
    try:
        system = load_system(find_system(system_file))
        question = ReadinessQuestion(now_ns=now_ns, max_age_s=MAX_AGE_S, anonymous=True)
        found = read_all(run_dirs, user_key(), now_ns)
        return _lines(report_of(found, playbooks_today(system), set(seen_alerts(system)), question))
    except GamedayError as error:
        warn(f"the page of the readiness stays empty: {error.message}")
        return None


def _lines(report: "Readiness") -> "SiteReadiness":
    from gameday.cli.readiness import rows_of
    from gameday.report.site.pages import ReadinessLine, SiteReadiness

    lines = []
    for book in report.playbooks:
        for row in rows_of(book):
            is_step = row.name.startswith(" ")
            step = row.name.strip() if is_step else ""
            lines.append(ReadinessLine(book.name, step, row.state, row.person, row.bot))
    ready = sum(book.ready for book in report.playbooks)
    return SiteReadiness(lines, ready, len(report.playbooks), MAX_AGE_S // DAY_S, report.at[:10])
