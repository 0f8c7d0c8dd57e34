"""The pages of the site: all runs, one run, one experiment, and the readiness of the playbooks.

Each is a whole page by itself: its style stands in it, it runs no script, and all addresses in it
are relative, so that the folder works below any path of a web server and opened from disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

from gameday import __version__
from gameday.judge.comparison import traffic_measures
from gameday.report.comparison import figure, plain_word
from gameday.report.messages import Messages
from gameday.report.past_runs import PastRun
from gameday.report.site.html import Html, badge, element, joined, table
from gameday.report.trend import TrendRow, cells

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:; base-uri 'none'; "
    "form-action 'none'"
)
MOST_FILTERS: Final = 60  # a page of buttons helps nobody to find one
INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class ReadinessLine:
    """A playbook, or a step of it (`step` is its number and its words), as the site shows it."""

    playbook: str
    step: str
    state: str
    person: str = ""
    bot: str = ""


@dataclass(frozen=True, slots=True)
class SiteReadiness:
    """The readiness of the playbooks when the site was built."""

    lines: Sequence[ReadinessLine]
    ready: int
    count: int
    max_age_days: int
    at: str


@dataclass(frozen=True, slots=True)
class DayLine:
    """A game day: its title, when, its verdict, and the name of its folder on the site."""

    folder: str
    title: str
    started_at: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the first page shows; runs are oldest first."""

    runs: Sequence[PastRun]
    folders: dict[str, str]
    """The folders of the experiments' pages, by experiment."""
    older: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    days: Sequence[DayLine] = ()


@cache
def _style() -> str:
    return (resources.files("gameday") / "report" / "site" / "site.css").read_text("utf-8")


def page(title: str, body: Html, say: Messages, *, up: str, style: str = "") -> bytes:
    """A whole page; `up` leads to the folder of the site, as `../../`."""
    home = element("a", say.plain("site.home"), href=f"{up}{INDEX}")
    readiness = element("a", say.plain("site.readiness"), href=f"{up}readiness.html")
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", title),
            Html(f"<style>{_style()}{style}</style>"),
        ]
    )
    inside = joined(
        [
            element("a", say.plain("site.skip"), class_="skip", href="#content"),
            element("header", element("nav", home, " · ", readiness, aria_label=_name(say))),
            element("main", element("h1", title), body, id="content"),
            element("footer", say.plain("site.built", version=__version__)),
        ]
    )
    whole = element("html", element("head", head), element("body", inside), lang=say.language)
    return f"<!doctype html>\n{whole}\n".encode("utf-8", "backslashreplace")


def _name(say: Messages) -> str:
    return say.plain("site.title")


def _verdict(run: PastRun, say: Messages) -> Html:
    return badge(plain_word(run.result.verdict, say), run.result.verdict)


def when(run: PastRun) -> str:
    """The minute in which it began, in UTC."""
    return (run.result.started_at or run.name)[:16].replace("T", " ")


def index(overview: Overview, say: Messages) -> bytes:
    """The first page: days, a filter by experiment, and all runs, the newest first."""
    runs = overview.runs
    names = list(dict.fromkeys(run.experiment for run in reversed(runs)))[:MOST_FILTERS]
    numbers = {name: number for number, name in enumerate(names)}
    verdicts = [run.result.verdict for run in runs]
    counts = say.plain(
        "site.counts",
        count=str(len(runs)),
        experiments=str(len({run.experiment for run in runs})),
        **{word: str(verdicts.count(word)) for word in ("passed", "failed", "unknown")},
    )
    parts: list[str] = [element("p", counts)]
    if overview.days:
        parts += _days(overview.days, say)
    parts.append(element("h2", say.plain("site.runs")))
    if not runs:
        parts.append(element("p", say.plain("site.no_runs")))
    else:
        parts.append(_filter(names, say))
        parts.append(_index_table(overview, numbers, say))
    if overview.older:
        parts.append(element("p", say.plain("site.older", count=str(overview.older))))
    parts += _left_out(overview, say)
    rules = "".join(
        f"body:has(#f{n}:checked) tbody tr:not(.e{n}){{display:none}}" for n in numbers.values()
    )
    return page(say.plain("site.title"), joined(parts), say, up="", style=rules)


def _days(days: Sequence[DayLine], say: Messages) -> Iterator[Html]:
    yield element("h2", say.plain("site.days"))
    rows = [
        (
            day.started_at[:16].replace("T", " "),
            element("a", day.title, href=f"days/{day.folder}/{INDEX}"),
            badge(plain_word(day.verdict, say), day.verdict),
        )
        for day in days
    ]
    heads = [say.plain(f"site.column_{name}") for name in ("started", "day", "verdict")]
    # Not a body of runs, which the filter would hide.
    yield Html(table(say.plain("site.days"), heads, rows).replace("<tr>", '<tr class="day">'))


def _filter(names: Sequence[str], say: Messages) -> Html:
    """Radio buttons that the style sheet obeys, so that no script is needed."""
    pairs = [("all", say.plain("site.filter_all"))]
    pairs += [(f"f{number}", name) for number, name in enumerate(names)]
    buttons = [
        element(
            "label",
            element(
                "input",
                type="radio",
                name="experiment",
                id=id_,
                checked="checked" if id_ == "all" else None,
            ),
            f" {label}",
        )
        for id_, label in pairs
    ]
    return element("fieldset", element("legend", say.plain("site.filter")), *buttons)


def _index_table(overview: Overview, numbers: dict[str, int], say: Messages) -> Html:
    columns = ("started", "run", "experiment", "verdict", "recovered", "ended", "stack")
    rows = []
    for run in reversed(overview.runs):
        result = run.result
        experiment = element("a", run.experiment, href=_experiment(overview, run))
        ended = plain_word(result.ended, say)
        cell_texts = (
            when(run),
            element("a", run.name[-4:], href=f"runs/{run.name}/{INDEX}", aria_label=run.name),
            experiment,
            _verdict(run, say),
            figure(result.clocks.recovered_after_s, "s", say),
            ended,
            result.stack,
        )
        number = numbers.get(run.experiment)
        class_ = None if number is None else f"e{number}"
        rows.append(element("tr", *(element("td", each) for each in cell_texts), class_=class_))
    heads = [say.plain(f"site.column_{name}") for name in columns]
    return table(say.plain("site.runs"), heads, rows)


def _experiment(overview: Overview, run: PastRun) -> str:
    return f"experiments/{overview.folders[run.experiment]}/{INDEX}"


def _left_out(overview: Overview, say: Messages) -> Iterator[Html]:
    if overview.left_out:
        yield element("h2", say.plain("site.left_out"))
        lines = [
            element("li", say.plain("site.left_out_line", run=run, why=why))
            for run, why in overview.left_out.items()
        ]
        yield element("ul", *lines)


def experiment_page(
    name: str, runs: Sequence[PastRun], rows: Sequence[TrendRow], say: Messages
) -> bytes:
    """One experiment: its trend as a picture, and its runs as a table."""
    words = ("started", "run", "verdict", "detected", "mitigated", "recovered", "p95", "changed")
    heads = [say.plain(f"site.column_{word}") for word in words]
    alt = say.plain("trend.alt", experiment=name)
    body = []
    known = {run.name: run for run in runs}
    for row in reversed(rows):
        started, run, _, *others = cells(row, say)
        link = element("a", run[-4:], href=f"../../runs/{run}/{INDEX}", aria_label=run)
        body.append((started, link, _verdict(known[run], say), *others))
    label = say.plain("site.trend_of", experiment=name)
    parts = [element("img", src="trend.svg", alt=alt), table(label, heads, body)]
    title = say.plain("site.title_experiment", experiment=name)
    return page(title, joined(parts), say, up="../../")


def readiness_page(found: SiteReadiness | None, say: Messages) -> bytes:
    """Every playbook with its steps, and when each was last seen to work. No names of people."""
    title = say.plain("site.title_readiness")
    if found is None:
        return page(title, element("p", say.plain("site.no_readiness")), say, up="")
    heads = [say.plain(f"site.column_{name}") for name in ("playbook", "state", "last", "bot")]
    rows = []
    for line in found.lines:
        name = line.step if line.step else element("strong", line.playbook)
        rows.append((name, badge(line.state.replace("_", " "), line.state), line.person, line.bot))
    counts = say.plain(
        "site.ready_counts",
        at=found.at,
        ready=str(found.ready),
        count=str(found.count),
        days=str(found.max_age_days),
    )
    return page(title, joined([element("p", counts), table(title, heads, rows)]), say, up="")


def inputs_table(run: PastRun, say: Messages) -> Html:
    """The inputs that the run was made of."""
    pairs = [
        (element("dt", say.plain(f"compare.input_{name}")), element("dd", value))
        for name, value in run.inputs.items()
    ]
    return element("dl", *(each for pair in pairs for each in pair))


def traffic_table(run: PastRun, say: Messages) -> Html:
    """The figures of the traffic that a comparison holds side by side."""
    rows = []
    for measure in traffic_measures([run.result]):
        name, _, window = measure.name.partition(" ")
        label = say.plain(f"compare.figure_{name}")
        if window:
            label = say.plain("compare.in_window", figure=label, window=window)
        rows.append((label, figure(measure.read(run.result), measure.unit, say)))
    heads = [say.plain(f"site.column_{name}") for name in ("what", "result")]
    return table(say.plain("site.traffic"), heads, rows)
