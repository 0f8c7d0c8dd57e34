"""The site as a whole: every run that can be told of, each experiment, days, and the readiness.

Drills are left out, as people practise in them. It is bounded: the newest `MOST_RUNS` have a page,
and a run that cannot be read costs its own page alone. Nothing is copied but what the result and
the postmortem hold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import GamedayError
from gameday.core.files.private import state_dir
from gameday.core.json import DAMAGED
from gameday.core.secrets.signing import SigningKey, read_key
from gameday.evidence import provenance
from gameday.report.charts.charts import draw
from gameday.report.inputs import read_material
from gameday.report.messages import Messages
from gameday.report.past_runs import PastRun, PastRuns
from gameday.report.site.days import PastDay, day_page
from gameday.report.site.draft import draft_of
from gameday.report.site.folder import SiteFolder, mark_of, site_folder
from gameday.report.site.pages import (
    INDEX,
    Overview,
    SiteReadiness,
    experiment_page,
    index,
    readiness_page,
)
from gameday.report.site.run_page import run_page
from gameday.report.trend import picture, trend

MOST_RUNS: Final = 1000
LARGEST_REPORT: Final = 8 * files.MIB
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


@dataclass(frozen=True, slots=True)
class Built:
    """The number of runs that have a page, and of those that were made anew."""

    runs: int
    made: int


def build_site(
    place: Path,
    found: PastRuns,
    say: Messages,
    *,
    readiness: SiteReadiness | None = None,
    days: Sequence[PastDay] = (),
    most: int = MOST_RUNS,
) -> Built:
    """Build it at `place`. Raises UsageError where that is no folder for it."""
    named = [run for run in found.runs if run.mode == "run" and _is_named(run)]
    runs, older = named[-most:], max(0, len(named) - most)
    names = dict.fromkeys(run.experiment for run in runs)
    folders = {name: _folder(number, name) for number, name in enumerate(names)}
    key, made = _own_key(), 0
    with site_folder(place) as site:
        for run in runs:
            if not site.take_over(run.name, mark_of(run.dir, say.language)):
                _write_run(site, run, say, key)
                made += 1
        for name, folder in folders.items():
            of_it = [run for run in runs if run.experiment == name]
            rows = trend(of_it)
            content = experiment_page(name, of_it, rows, say)
            site.write(f"experiments/{folder}/{INDEX}", content)
            svg = picture(name, rows, say)
            site.write(f"experiments/{folder}/trend.svg", svg.encode())
        known = {run.name for run in runs}
        for day in days:
            site.write(f"days/{day.dir.name}/{INDEX}", day_page(day, known, say))
        site.write("readiness.html", readiness_page(readiness, say))
        told = Overview(
            runs=runs,
            folders=folders,
            older=older,
            left_out=found.left_out,
            days=[day.line for day in days],
        )
        site.write(INDEX, index(told, say))
    return Built(len(runs), made)


def _is_named(run: PastRun) -> bool:
    return _NAME.fullmatch(run.name) is not None and not run.dir.is_symlink()


def _folder(number: int, experiment: str) -> str:
    """The name of the experiment where it is one that a file can have."""
    return experiment if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", experiment) else f"{number}"


def _own_key() -> SigningKey | None:
    try:
        return read_key(state_dir())
    except GamedayError:
        return None


def _write_run(site: SiteFolder, run: PastRun, say: Messages, key: SigningKey | None) -> None:
    here, why = f"runs/{run.name}", ""
    charts: dict[str, str] = {}
    try:
        material = read_material(run.dir)
        if len(material.curves.t_s):
            charts = draw(material, say)
    except GamedayError as error:
        why = error.message
    except OSError as error:
        why = str(error.strerror)
    except DAMAGED as error:
        why = str(error)
    for name, svg in charts.items():
        site.write(f"{here}/{name}.svg", svg.encode("utf-8", "backslashreplace"))
    report = _report(run, key)
    if report is not None:
        site.write(f"{here}/postmortem.html", report)
    draft = (
        None
        if report is not None
        else draft_of(run.dir / "postmortem.md", [f"{name}.svg" for name in charts])
    )
    has_report = report is not None
    content = run_page(run, say, drawn=list(charts), why=why, draft=draft, report=has_report)
    site.write(f"{here}/{INDEX}", content)


def _report(run: PastRun, key: SigningKey | None) -> bytes | None:
    """The report as a page of its own; only that of a run which this user has signed.

    It has a script for its charts, and one of somebody else's would run beside the team's pages.
    """
    path = run.dir / "postmortem.html"
    if key is None or path.is_symlink() or not files.is_file(path):
        return None
    read = provenance.read_journal(run.dir, key)
    if not read.signed or read.foreign or read.altered:
        return None
    try:
        return files.read_bytes(path, LARGEST_REPORT)
    except OSError:
        return None
