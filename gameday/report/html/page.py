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
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from gameday.core import files, settings
from gameday.report.charts.charts import NAMES, Plot, draw, faults_of, marks_of, plots
from gameday.report.charts.plot import DARK, LEFT, RED, RIGHT, time_scale
from gameday.report.charts.plot import Bar, Lane, Words, lanes_chart
from gameday.report.charts.thinning import is_long
from gameday.report.draft_file import DRAFT, LARGEST_BYTES
from gameday.report.format import clock, in_language, length
from gameday.report.html.body import Body, render
from gameday.report.inputs import Material, read_material
from gameday.report.markdown import one_line
from gameday.report.messages import Messages
from gameday.report.postmortem import compose, unedited
from gameday.report.sections.summary import CLOCKS

FILE: Final = "postmortem.html"
_HEAD: Final = re.compile(r"\A---\n(.*?\n)?---\n", re.DOTALL)
_STATUS: Final = re.compile(r"^status:\s*[\"']?([a-z ]{1,20})", re.MULTILINE)
_COMMENT: Final = re.compile(r"^<!-- [^\n]* -->\n?\Z", re.MULTILINE)
_MOST_SHOWN: Final = 500  # wrong answers in the picture; the certificate has all
_MOST_LISTED: Final = 20
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
        return _Page(material, say).whole().encode("utf-8", "replace")


class _Page:
    """One page while it is made."""

    def __init__(self, material: Material, say: Messages) -> None:
        self.m, self.say = material, say
        self.plots = plots(material, say)
        self.pictures = draw(material, say)

    def words(self, message: str, **values: str) -> str:
        """A sentence, escaped for HTML; its values are texts as they are."""
        return html.escape(self.say.plain(f"html.{message}", **values))

    def whole(self) -> str:
        status, text = _source(self.m, self.say)
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
        data = json.dumps(self.data(), separators=(",", ":"), allow_nan=False)
        data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        return (
            f'{head}<body><a class="skip" href="#text">{self.words("skip")}</a>'
            f"{self.banner(body, status)}"
            f'<main id="text">{self.wrong_answers()}{body.html}</main>'
            f'<footer>{self.words("made")}</footer>'
            f'<script type="application/json" id="data">{data}</script>'
            f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
        )

    def banner(self, body: Body, status: str) -> str:
        """The verdict, the clocks and the contents."""
        result = self.m.result
        verdict = _plain(self.say.word(result.verdict))
        clocks = [(self.words("damage"), clock(result.clocks.damage_at))]
        clocks += [
            (self.words(name), length(result.clocks.after_s(name)))
            for name in CLOCKS
            if result.clocks.damage_at is not None
        ]
        none = self.words("never")
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
            f'<p class="note">{self.words("to_do")}</p>'
            f'<details class="contents"><summary>{self.words("contents")}</summary>'
            f"<nav>{body.contents}</nav></details></header>"
        )

    def figure(self, name: str) -> str:
        """A chart: as drawn, for a script to make it live, and its figures as a table."""
        if name not in NAMES or name not in self.pictures:
            return ""
        plot = self.plots.get(name)
        title = self.say.plain(f"chart.{name}")
        label = html.escape(title)
        made = [self.words("thinned")] if is_long(self.m.curves.t_s) and plot else []
        caption = f'<figcaption class="quiet">{made[0]}</figcaption>' if made else ""
        table = self.table(plot) if plot else ""
        return (
            f'<span class="figure" role="figure" aria-label="{label}" data-chart="{name}">'
            f'{self.picture(name, self.pictures[name])}{table}{caption}</span>'
        ).replace("<figcaption", "<span").replace("</figcaption", "</span")

    def picture(self, name: str, svg: str) -> str:
        """A drawing of ours in the page; on a phone it is moved sideways within its frame."""
        low, high = self.span()
        inside = svg.replace(f"<style>{DARK}</style>", "").replace(
            "<svg ",
            f'<svg data-from="{low:g}" data-to="{high:g}" data-left="{LEFT:g}" '
            f'data-right="{RIGHT:g}" ',
            1,
        )
        label = html.escape(self.say.plain(f"chart.{name}_alt"))
        return f'<span class="static" tabindex="0" role="group" aria-label="{label}">{inside}</span>'

    def span(self) -> tuple[float, float]:
        """The instants at both ends of the drawings."""
        scale = time_scale(self.m.curves.t_s)
        return scale.low, scale.high

    def table(self, plot: Plot) -> str:
        """The curves in figures: lowest, highest and when."""
        rows = "".join(self.row(line.name, plot.t_s, line.values) for line in plot.lines)
        if not rows:
            return ""
        head = "".join(
            f'<span role="columnheader">{self.words(f"col_{each}")}</span>'
            for each in ("series", "lowest", "highest", "when")
        )
        label = html.escape(plot.words.title)
        return (
            f'<details><summary>{self.words("figures")}</summary>'
            f'<span class="figures" role="table" aria-label="{label}">'
            f'<span role="row">{head}</span>{rows}</span></details>'
        )

    def row(self, name: str, t_s: Any, values: Any) -> str:
        """One curve of that table."""
        seen = np.isfinite(values)
        cells = ["–", "–", "–"]
        if seen.any():
            at = int(np.nanargmax(np.where(seen, values, -np.inf)))
            low = float(np.nanmin(np.where(seen, values, np.inf)))
            cells = [f"{low:,.4g}", f"{float(values[at]):,.4g}", f"{float(t_s[at]):.1f} s"]
        shown = "".join(f'<span role="cell">{each}</span>' for each in cells)
        return f'<span role="row"><span role="rowheader">{html.escape(name)}</span>{shown}</span>'

    def wrong_answers(self) -> str:
        """The offending requests of a failed run over time, and the first of them by name."""
        known = [
            (wrong.check, [each for each in wrong.people if each.at_s is not None])
            for wrong in self.m.wrongs
        ]
        known = [(check, people) for check, people in known if people]
        if not known:
            return ""
        lanes = [
            Lane(check, [Bar(each.at_s or 0.0, each.at_s or 0.0, RED) for each in people[:_MOST_SHOWN]])
            for check, people in known
        ]
        title, about = self.say.plain("html.wrong"), self.say.plain("html.wrong_alt")
        words = Words(title, about, self.say.plain("chart.x"), "", "")
        svg = lanes_chart(words, time_scale(self.m.curves.t_s), lanes, faults_of(self.m, self.say), [])
        rows = [
            f'<tr data-t="{each.at_s:.3f}"><td>{each.at_s:.3f}</td><td>{html.escape(check)}</td>'
            f"<td>{each.user}</td><td>{html.escape(one_line(each.issue_id))}</td></tr>"
            for check, people in known
            for each in people[:_MOST_LISTED]
        ]
        low, high = self.span()
        svg = svg.replace(f"<style>{DARK}</style>", "").replace(
            "<svg ",
            f'<svg data-from="{low:g}" data-to="{high:g}" data-left="{LEFT:g}" data-right="{RIGHT:g}" ',
            1,
        )
        head = "".join(
            f'<th scope="col">{self.words(f"col_{each}")}</th>' for each in ("at", "check", "user", "id")
        )
        every = sum(len(people) for _, people in known)
        about_rows = self.words("wrong_listed", shown=f"{len(rows):,}", all=f"{every:,}")
        return (
            f'<section class="wrong" aria-labelledby="wrong"><h2 id="wrong">{html.escape(title)}</h2>'
            f"<p>{html.escape(about)}</p>"
            f'<div class="static" tabindex="0" role="group" aria-label="{html.escape(about)}">{svg}</div>'
            f'<details><summary>{about_rows}</summary><div class="wide" tabindex="0" role="group" '
            f'aria-label="{html.escape(title)}"><table class="timed"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></details></section>"
        )

    def data(self) -> Mapping[str, Any]:
        """Everything that the script draws from."""
        names = ("mark", "zoom_in", "zoom_out", "earlier", "later", "whole", "how", "overview")
        return {
            "words": {name: self.say.by_id[f"html.{name}"] for name in names},
            "x": self.say.plain("chart.x"),
            "marks": [
                {"label": one_line(each.label), "from": _number(each.start_s, 3), "to": _number(each.end_s, 3)}
                for each in marks_of(self.m, self.say)
            ],
            "charts": {name: _series(plot) for name, plot in self.plots.items()},
        }


def _series(plot: Plot) -> Mapping[str, Any]:
    return {
        "title": plot.words.title,
        "y": plot.words.y,
        "log": plot.log,
        "x": [_number(each, 3) for each in plot.t_s.tolist()],
        "lines": [
            {
                "name": one_line(line.name),
                "colour": line.colour,
                "values": [_figures(each) for each in line.values.tolist()],
            }
            for line in plot.lines
        ],
    }


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, digits)


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
    text = (text or compose(m, say)).replace("\r\n", "\n")
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
