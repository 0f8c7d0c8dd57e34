"""The page of one run: verdict, clocks, checks, faults, alerts, steps, charts and the postmortem.

Charts are drawn again from the samples, never copied: a picture of somebody else's may hold a
script. No person is named: what a drill tells of people stands there by role.
"""

from collections.abc import Iterator, Sequence

from gameday.judge.result import Result
from gameday.report.charts import charts
from gameday.report.comparison import figure, plain_word
from gameday.report.messages import Messages
from gameday.report.past_runs import PastRun
from gameday.report.sections.names import claim
from gameday.report.site.html import Html, badge, element, joined, table
from gameday.report.site.pages import inputs_table, page, traffic_table, when

TURNS = ("detected", "acknowledged", "mitigated", "recovered")


def run_page(
    run: PastRun, say: Messages, *, drawn: Sequence[str], why: str, draft: Html | None, report: bool
) -> bytes:
    """The page; `drawn` are the charts beside it, and `why` the reason where there are none.

    `report` says that the postmortem lies beside it as a page of its own, else `draft` is it.
    """
    result = run.result
    title = say.plain("site.title_run", experiment=run.experiment, when=when(run))
    ended = say.by_id.get(f"ended.{result.ended}", result.ended)
    verdict = badge(plain_word(result.verdict, say), result.verdict)
    about = element("p", verdict, f" – {ended} · {run.name}")
    parts = [about, *_report_link(say, report=report), *_clocks(result, say)]
    parts += [*_checks(result, say), *_faults(result, say), *_alerts(result, say)]
    parts += [*_steps(result, say), element("h2", say.plain("site.traffic"))]
    parts.append(traffic_table(run, say))
    if draft is None or "<img" not in draft:  # else they stand in the postmortem below
        parts += _charts(drawn, why, say)
    parts += [element("h2", say.plain("site.inputs")), inputs_table(run, say)]
    if not report:
        parts.append(element("h2", say.plain("site.report")))
        if draft is None:
            parts.append(element("p", say.plain("site.no_report")))
        else:
            parts.append(element("p", say.plain("site.edited"), class_="soft"))
            parts.append(element("article", draft))
    return page(title, joined(parts), say, up="../../")


def _report_link(say: Messages, *, report: bool) -> Iterator[Html]:
    if report:
        words = say.plain("site.report_page")
        yield element("p", element("a", words, href="postmortem.html"))


def _clocks(result: Result, say: Messages) -> Iterator[Html]:
    yield element("h2", say.plain("site.clocks"))
    clocks = result.clocks
    if clocks.damage_at is None:
        yield element("p", say.plain("site.no_damage"))
        return
    rows = [(say.plain("site.damage"), figure(clocks.damage_at, "s", say))]
    for turn in TURNS:
        shown = figure(clocks.after_s(turn), "s", say)
        rows.append((say.plain(f"compare.figure_{turn}"), shown))
    yield _table("clocks", ("what", "result"), rows, say)


def _table(name: str, heads: Sequence[str], rows: Sequence[Sequence[str]], say: Messages) -> Html:
    return table(say.plain(f"site.{name}"), [say.plain(f"site.column_{h}") for h in heads], rows)


def _word(word: str | None, say: Messages) -> Html:
    return badge(plain_word(word, say), word or "")


def _checks(result: Result, say: Messages) -> Iterator[Html]:
    yield element("h2", say.plain("site.checks"))
    rows = [
        (_claim(check.name, say), _word(check.verdict, say), say.line(check.message, check.summary))
        for check in result.checks
    ]
    yield _table("checks", ("what", "result", "summary"), rows, say)
    if result.not_applicable:
        names = ", ".join(each.name for each in result.not_applicable)
        yield element("p", say.plain("site.not_applicable", names=names), class_="soft")


def _claim(check: str, say: Messages) -> str:
    """The sentence of a check; its name where none is known."""
    return claim(check, say) if f"held.{check}" in say.by_id else check


def _faults(result: Result, say: Messages) -> Iterator[Html]:
    if result.faults:
        yield element("h2", say.plain("site.faults"))
        rows = [
            (
                each.id,
                each.target,
                figure(each.injected_at, "s", say),
                figure(each.removed_at, "s", say),
            )
            for each in result.faults
        ]
        yield _table("faults", ("fault", "target", "injected", "removed"), rows, say)


def _alerts(result: Result, say: Messages) -> Iterator[Html]:
    if result.alerts:
        yield element("h2", say.plain("site.alerts"))
        rows = [
            (
                each.alert,
                _word(each.status, say),
                figure(each.fired_at, "s", say),
                figure(each.resolved_at, "s", say),
            )
            for each in result.alerts
        ]
        yield _table("alerts", ("alert", "result", "fired", "resolved"), rows, say)


def _steps(result: Result, say: Messages) -> Iterator[Html]:
    if result.playbook:
        yield element("h2", say.plain("site.steps"))
        rows = [
            (
                str(each.step),
                _word(each.status, say),
                figure(each.started_at, "s", say),
                figure(each.took_s, "s", say),
            )
            for each in result.playbook
        ]
        yield _table("steps", ("step", "result", "started_at", "took"), rows, say)


def _charts(drawn: Sequence[str], why: str, say: Messages) -> Iterator[Html]:
    yield element("h2", say.plain("site.charts"))
    for name in (each for each in charts.NAMES if each in drawn):
        alt = say.plain(f"chart.{name}_alt")
        yield element("img", src=f"{name}.svg", alt=alt, loading="lazy")
    if not drawn:
        yield element("p", say.plain("site.no_charts", why=why))
