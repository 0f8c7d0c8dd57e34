"""The page: the postmortem's own text, its charts, and what makes both work together, in one file.

The text is the draft's (`postmortem.compose`), or what a person has made of it in `postmortem.md`:
so the page that is passed on says what they decided. Without JavaScript the charts are those of the
draft. What the page may do is in its own head: run and look as our files say, and load nothing.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from gameday.core import files, settings
from gameday.report.charts.charts import NAMES, Plot, draw, faults_of, marks_of, plots
from gameday.report.charts.plot import DARK, RED, Bar, Lane, Words, lanes_chart, time_scale
from gameday.report.charts.series import Curve
from gameday.report.charts.thinning import is_long
from gameday.report.draft_file import DRAFT, LARGEST_BYTES
from gameday.report.format import clock, in_language, length
from gameday.report.html.body import Body, render
from gameday.report.inputs import Material, read_material
from gameday.report.markdown import one_line
from gameday.report.messages import Messages
from gameday.report.postmortem import compose, unedited

FILE: Final = "postmortem.html"
_HEAD: Final = re.compile(r"\A---\n(.*?\n)?---\n", re.DOTALL)
_STATUS: Final = re.compile(r"^status:\s*[\"']?([a-z ]{1,20})", re.MULTILINE)
_COMMENT: Final = re.compile(r"^<!-- [^\n]* -->\n?\Z", re.MULTILINE)
_MOST_SHOWN: Final = 500  # wrong answers in the picture; the certificate has all
_MOST_LISTED: Final = 20
_CLOCKS: Final = {
    "detected": "html.detected",
    "acknowledged": "html.acknowledged",
    "mitigated": "html.mitigated",
    "recovered": "html.recovered",
}
_SCRIPT_WORDS: Final = (
    "html.mark",
    "html.zoom_in",
    "html.zoom_out",
    "html.earlier",
    "html.later",
    "html.whole",
    "html.how",
    "html.overview",
)
_UPLOT: Final = "uplot-1.6.32"


def write_html(run_dir: Path, language: str | None = None) -> Path:
    """Write the page beside the draft; where it went."""
    path = run_dir / FILE
    files.replace(path, [page(run_dir, language)])
    return path


def page(run_dir: Path, language: str | None = None) -> bytes:
    """The whole file. Raises UnknownError where there is no result to report on."""
    material = read_material(run_dir)
    say = Messages(settings.language() if language is None else language)
    with in_language(say.language):
        return _Page(material, say).whole(*_source(material, say)).encode("utf-8", "replace")


def fresh_page(material: Material, say: Messages) -> str:
    """The file as the evidence alone gives it, whatever people have made of the draft."""
    with in_language(say.language):
        return _Page(material, say).whole(*_parted(compose(material, say)))


class _Page:
    """One page while it is made."""

    def __init__(self, material: Material, say: Messages) -> None:
        self.m, self.say = material, say
        self.plots = plots(material, say)
        self.pictures = draw(material, say)

    def words(self, message: str, **values: str) -> str:
        """A sentence, escaped for HTML; its values are texts as they are."""
        return html.escape(self.say.plain(message, **values))

    def whole(self, status: str, text: str) -> str:
        """The page around a draft's text, without its head, and the status that the head has."""
        body = render(text, self.figure, self.say)
        style = _file("vendor", f"{_UPLOT}.css") + _file("html", "page.css")
        scripts = [_file("vendor", f"{_UPLOT}.js"), _file("html", "page.js")]
        policy = _policy(style, scripts)
        title = html.escape(body.title or self.m.result.experiment)
        head = (
            f'<!doctype html>\n<html lang="{self.say.language}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{title}</title><style>{style}</style></head>\n"
        )
        data = json.dumps(asdict(self.data()), separators=(",", ":"), allow_nan=False)
        data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        made = self.words("html.made")
        return (
            f'{head}<body><a class="skip" href="#text">{self.words("html.skip")}</a>'
            f"{self.banner(body, status)}"
            f'<main id="text">{self.inside(body)}</main>'
            f"<footer>{made}</footer>"
            f'<script type="application/json" id="data">{data}</script>'
            f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
        )

    def inside(self, body: Body) -> str:
        """The text, and behind its summary the wrong answers."""
        wrong = self.wrong_answers()
        heads = [found.start() for found in re.finditer("<h2 ", body.html)] if wrong else []
        at = heads[1] if len(heads) > 1 else len(body.html)
        return body.html[:at] + wrong + body.html[at:]

    def banner(self, body: Body, status: str) -> str:
        """The verdict, the clocks and the contents."""
        result = self.m.result
        verdict = _plain(self.say.word(result.verdict))
        clocks = [(self.words("html.damage"), clock(result.clocks.damage_at))]
        clocks += [
            (self.words(message), length(result.clocks.after_s(name)))
            for name, message in _CLOCKS.items()
            if result.clocks.damage_at is not None
        ]
        none = self.words("html.never")
        shown = "".join(
            f"<div><dt>{name}</dt><dd>{html.escape(value) if value else none}</dd></div>"
            for name, value in clocks
        )
        kind = result.verdict if result.verdict in ("passed", "failed") else "unknown"
        names = f"{result.run} · {result.stack}"
        return (
            f'<header class="top {kind}"><p class="verdict"><b>{html.escape(verdict)}</b> '
            f"<span>{html.escape(one_line(result.experiment))}</span> "
            f'<span class="quiet">{html.escape(one_line(names))}</span> '
            f'<span class="chip">{html.escape(_plain(self.say.word(status)))}</span></p>'
            f'<dl class="clocks">{shown}</dl>'
            f'<p class="note">{self.words("html.to_do")}</p>'
            f'<details class="contents"><summary>{self.words("html.contents")}</summary>'
            f"<nav>{body.contents}</nav></details></header>"
        )

    def figure(self, name: str) -> str:
        """A chart: as drawn, for a script to make it live, and its figures as a table."""
        if name not in NAMES or name not in self.pictures:
            return ""
        plot = self.plots.get(name)
        label = html.escape(self.say.plain(f"chart.{name}"))
        thin = f'<span class="quiet">{self.words("html.thinned")}</span>'
        picture = self.picture(self.pictures[name], self.say.plain(f"chart.{name}_alt"))
        return (
            f'<span class="figure" role="figure" aria-label="{label}" data-chart="{name}">'
            f"{picture}{self.table(plot) if plot else ''}"
            f"{thin if plot and is_long(self.m.curves.t_s) else ''}</span>"
        )

    def picture(self, svg: str, about: str) -> str:
        """A drawing of ours in the page; on a phone it is moved sideways within its frame."""
        xs = time_scale(self.m.curves.t_s)
        places = {"from": xs.low, "to": xs.high, "left": xs.start_px, "right": xs.end_px}
        shown = "".join(f' data-{each}="{value:.10g}"' for each, value in places.items())
        inside = svg.replace(f"<style>{DARK}</style>", "").replace("<svg", f"<svg{shown}", 1)
        return (
            '<span class="static" tabindex="0" role="group" '
            f'aria-label="{html.escape(about)}">{inside}</span>'
        )

    def table(self, plot: Plot) -> str:
        """The curves in figures: lowest, highest and when."""
        rows = "".join(self.row(line.name, plot.t_s, line.values) for line in plot.lines)
        if not rows:
            return ""
        head = "".join(
            f'<span role="columnheader">{self.words(each)}</span>'
            for each in ("html.col_series", "html.col_lowest", "html.col_highest", "html.col_when")
        )
        label, figures = html.escape(plot.words.title), self.words("html.figures")
        return (
            f"<details><summary>{figures}</summary>"
            f'<span class="figures" role="table" aria-label="{label}">'
            f'<span role="row">{head}</span>{rows}</span></details>'
        )

    def row(self, name: str, t_s: Curve, values: Curve) -> str:
        """One curve of that table."""
        seen = np.isfinite(values)
        cells = ["–", "–", "–"]
        if seen.any():
            at = int(np.nanargmax(np.where(seen, values, -np.inf)))
            low = float(np.nanmin(np.where(seen, values, np.inf)))
            cells = [_digits(low), _digits(float(values[at])), f"{float(t_s[at]):.1f} s"]
        shown = "".join(f'<span role="cell">{each}</span>' for each in cells)
        return f'<span role="row"><span role="rowheader">{html.escape(name)}</span>{shown}</span>'

    def wrong_answers(self) -> str:
        """The offending requests of a failed run over time, and the first of them by name."""
        known = {
            wrong.check: [(each.at_s, each) for each in wrong.people if each.at_s is not None]
            for wrong in self.m.wrongs
        }
        known = {check: found for check, found in known.items() if found}
        if not known:
            return ""
        lanes = [
            Lane(check, [Bar(at_s, at_s, RED) for at_s, _ in found[:_MOST_SHOWN]])
            for check, found in known.items()
        ]
        title, about = self.say.plain("html.wrong"), self.say.plain("html.wrong_alt")
        words = Words(title, about, self.say.plain("chart.x"), "", "")
        xs, faults = time_scale(self.m.curves.t_s), faults_of(self.m, self.say)
        rows = [
            f'<tr data-t="{at_s:.3f}"><td>{at_s:.3f}</td><td>{html.escape(check)}</td>'
            f"<td>{html.escape(one_line(str(each.user)))}</td><td>{html.escape(one_line(each.issue_id))}</td></tr>"
            for check, found in known.items()
            for at_s, each in found[:_MOST_LISTED]
        ]
        head = "".join(
            f'<th scope="col">{self.words(each)}</th>'
            for each in ("html.col_at", "html.col_check", "html.col_user", "html.col_id")
        )
        every = sum(len(found) for found in known.values())
        listed = self.words("html.wrong_listed", shown=f"{len(rows):,}", all=f"{every:,}")
        picture = self.picture(lanes_chart(words, xs, lanes, faults, []), about)
        return (
            f'<section class="wrong" aria-labelledby="wrong"><h2 id="wrong">{html.escape(title)}'
            f"</h2><p>{html.escape(about)}</p>{picture}<details><summary>{listed}</summary>"
            '<div class="wide" tabindex="0" role="group" '
            f'aria-label="{html.escape(title)}"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></details></section>"
        )

    def data(self) -> "_Live":
        """Everything that the script draws from."""
        return _Live(
            words={id_.removeprefix("html."): self.say.by_id[id_] for id_ in _SCRIPT_WORDS},
            marks=[
                _Mark(one_line(each.label), _number(each.start_s), _number(each.end_s))
                for each in marks_of(self.m, self.say)
            ],
            charts={name: _chart(plot) for name, plot in self.plots.items()},
        )


@dataclass(frozen=True, slots=True)
class _Mark:
    """An instant or a window, as the script reads it."""

    label: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A curve; null is a gap."""

    name: str
    colour: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class _Chart:
    """A chart as the script reads it."""

    title: str
    y: str
    log: bool
    x: list[float | None]
    lines: list[_Line]


@dataclass(frozen=True, slots=True)
class _Live:
    """The data of the script."""

    words: Mapping[str, str]
    marks: list[_Mark]
    charts: Mapping[str, _Chart]


def _chart(plot: Plot) -> _Chart:
    lines = [
        _Line(one_line(line.name), line.colour, [_figures(each) for each in line.values.tolist()])
        for line in plot.lines
    ]
    xs = [_number(each) for each in plot.t_s.tolist()]
    return _Chart(plot.words.title, plot.words.y, plot.log, xs, lines)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 3)


def _digits(value: float) -> str:
    """Four digits, or all before the point, never as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _figures(value: float) -> float | None:
    """Four digits; a picture shows no more."""
    if not np.isfinite(value) or abs(value) > 1e100:
        return None
    shown = float(f"{value:.4g}")
    return int(shown) if shown.is_integer() and abs(shown) < 1e15 else shown


def _source(m: Material, say: Messages) -> tuple[str, str]:
    """The status of the draft, and its Markdown without its head: a person's, or ours made anew."""
    path = m.run_dir / DRAFT
    text = ""
    if path.is_file() and not path.is_symlink() and not unedited(path):
        try:
            text = files.read_bytes(path, LARGEST_BYTES).decode("utf-8", "replace")
        except OSError:
            text = ""
    return _parted(text or compose(m, say))


def _parted(text: str) -> tuple[str, str]:
    """The status in a draft's head, and the draft without it."""
    text = text.replace("\r\n", "\n")
    head = _HEAD.match(text)
    status = _STATUS.search(head[0]) if head else None
    inside = text[head.end() :] if head else text
    return (status[1].strip() if status else "draft"), _COMMENT.sub("", inside)


def _plain(markup: str) -> str:
    return markup.replace("*", "")


def _file(folder: str, name: str) -> str:
    return (resources.files("gameday") / "report" / folder / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    allowed = " ".join(_hash(each) for each in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
