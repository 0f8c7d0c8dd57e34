"""`gameday plan DAY`: what a game day would do, and whether each of its runs can begin."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.table import Table

from gameday.cli.drawing import table as new_table
from gameday.cli.picture import Page
from gameday.cli.terminal import block, emit, one_line
from gameday.cli.words import megabytes, say
from gameday.core.units import format_duration
from gameday.plan.day_size import DaySize, day_size, free_bytes
from gameday.plan.finding import Finding, as_error, failures

if TYPE_CHECKING:
    from gameday.cli.plan import PlanOptions
    from gameday.spec.day_files import LoadedDay
    from gameday.spec.inputs import LoadedSystem


@dataclass(frozen=True, slots=True)
class DayPlanned:
    """Everything that is told of a day; `findings` have the name of their experiment."""

    loaded: "LoadedDay"
    stack: str
    size: DaySize
    free: int
    findings: Sequence[tuple[str, Finding]]
    exit_code: int

    def as_json(self) -> object:
        return {
            "day": self.loaded.day.name,
            "stack": self.stack,
            "fit": self.exit_code == 0,
            "exit_code": self.exit_code,
            "length_s": self.size.length_s,
            "disk_bytes": self.size.disk_bytes,
            "disk_free_bytes": self.free,
            "agenda": [
                {
                    "experiment": each.experiment and each.experiment.experiment.name,
                    "length_s": each.length_s,
                    "disk_bytes": each.disk_bytes,
                    "optional": each.optional,
                }
                for each in self.size.items
            ],
            "go": [each.name for each in self.loaded.day.go],
            "findings": [{"experiment": name, **asdict(each)} for name, each in self.findings],
        }


def plan_day(loaded: "LoadedDay", asked: "PlanOptions", *, stack_is_given: bool) -> int:
    """Tell what a day would do; the exit code. Raises UsageError, FileError."""
    from gameday.plan.validate import validate_day
    from gameday.spec.day_files import day_system
    from gameday.spec.inputs import find_system, load_system

    by_file = asked.system is None
    if by_file and loaded.day.system is not None:
        asked = replace(asked, system=str(day_system(loaded)))
    if loaded.day.stack is not None and not stack_is_given:
        asked = replace(asked, stack=loaded.day.stack)
    system = load_system(find_system(asked.system))
    warnings = validate_day(loaded, system, by_file=by_file, short=asked.short)
    told = [("", Finding("file", "warn", str(each))) for each in warnings]
    size = day_size(loaded, short=asked.short)
    free = free_bytes(asked.runs_dir)
    told += [("", each) for each in _disk(size, free, asked)]
    told += _of_runs(size, system, asked)
    found = list(dict.fromkeys(told))
    wrong = failures([each for _, each in found])
    code = as_error(wrong[0], owned=asked.stack != "external").exit_code if wrong else 0
    planned = DayPlanned(loaded, asked.stack, size, free, found, int(code))
    if asked.as_json:
        emit(json.dumps(planned.as_json(), indent=1) + "\n")
    else:
        _show(planned, asked)
    return planned.exit_code


def _of_runs(
    size: DaySize, system: "LoadedSystem", asked: "PlanOptions"
) -> Iterator[tuple[str, Finding]]:
    """What is wrong with the run of each experiment, once; what is well is not told."""
    from gameday.cli.plan import plan_of
    from gameday.spec.inputs import gather

    seen: set[Finding] = set()
    for each in size.items:
        if each.experiment is None:
            continue
        made = plan_of(gather(each.experiment, system), asked)
        for finding in made.findings:
            if finding.status != "ok" and finding not in seen:
                seen.add(finding)
                yield each.experiment.experiment.name, finding


def _disk(size: DaySize, free: int, asked: "PlanOptions") -> Iterator[Finding]:
    """Room for all runs together: each by itself may still fit."""
    if free < size.disk_bytes:
        text = say(
            "plan_day_disk",
            needed=megabytes(size.disk_bytes),
            runs=asked.runs_dir,
            free=megabytes(free),
        )
        cure = "make room (gameday runs prune), or name another folder: --runs DIR"
        yield Finding("disk", "fail", text, cure, usage=True)


def _show(planned: DayPlanned, asked: "PlanOptions") -> None:
    page, day = Page(), planned.loaded.day
    page.last(f"{one_line(day.name)}  {block(page.plain(planned.loaded.title))}", "bold")
    page.table(say("plan_day_agenda"), _agenda(page, planned.size))
    page.section(say("plan_day_go"), (one_line(each.name) for each in day.go))
    length = format_duration(timedelta(seconds=round(planned.size.length_s)))
    told = {
        "length": length,
        "needed": megabytes(planned.size.disk_bytes),
        "free": megabytes(planned.free),
    }
    page.section(say("plan_length"), [say("plan_day_length", **told, runs=asked.runs_dir)])
    page.section(say("plan_findings"), _findings(planned.findings))
    wrong = sum(each.status == "fail" for _, each in planned.findings)
    odd = len(planned.findings) - wrong
    warnings = say("plan_warning" if odd == 1 else "plan_warnings", n=odd) if odd else ""
    if wrong:
        kind = "plan_problem" if wrong == 1 else "plan_problems"
        page.last(say(kind, n=wrong, warnings=warnings, code=planned.exit_code), "bold red")
    else:
        page.last(say("plan_ready", warnings=warnings), "bold green")


def _agenda(page: Page, size: DaySize) -> Table:
    shown, optional = new_table(header=False, padding=(0, 1)), say("plan_day_optional")
    for number, each in enumerate(size.items, 1):
        length = format_duration(timedelta(seconds=round(each.length_s)))
        disk = megabytes(each.disk_bytes) if each.disk_bytes else ""
        what = say("plan_day_break")
        if each.experiment is not None:
            what = one_line(each.experiment.experiment.name)
            what += f" ({optional})" if each.optional else ""
        shown.add_row(f"  {number}", page.plain(what), length, disk)
    return shown


def _findings(findings: Sequence[tuple[str, Finding]]) -> Iterator[str]:
    """Problems last, where the eye is."""
    for name, each in sorted(findings, key=lambda one: one[1].status == "fail"):
        where = f"{name}: " if name else ""
        yield f"{each.status}: {where}{each.name}: {each.found}"
        if each.cure:
            yield f"\t-> {each.cure}"
