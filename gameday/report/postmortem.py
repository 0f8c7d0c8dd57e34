"""The order of a postmortem's sections, and the writing of its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.report.charts.charts import draw
from gameday.report.draft_file import write_draft
from gameday.report.inputs import Material, read_material
from gameday.report.markdown import Markup
from gameday.report.messages import Messages
from gameday.report.sections.checks import proof, supporting_data
from gameday.report.sections.detection import detection
from gameday.report.sections.impact import impact
from gameday.report.sections.lessons import actions, factors, lessons, prevention
from gameday.report.sections.response import recovery, response, trigger
from gameday.report.sections.summary import summary, title
from gameday.report.sections.timeline import timeline

Section = Callable[[Material, Messages], list[Markup]]

SECTIONS: Final[tuple[tuple[Section, tuple[str, ...]], ...]] = (
    (title, ()),
    (summary, ()),
    (impact, ("latency", "throughput", "failures")),
    (timeline, ()),
    (detection, ("lanes",)),
    (response, ()),
    (recovery, ()),
    (trigger, ("dependencies",)),
    (proof, ()),
    (factors, ()),
    (actions, ()),
    (lessons, ()),
    (prevention, ()),
    (supporting_data, ()),
)


def write_report(run_dir: Path, language: str = "en") -> Path:
    """Write the postmortem draft and its charts; where the draft went.

    That is `postmortem.md`, or a file beside it where a person has edited that one. Raises
    UnknownError where there is no result to report on.
    """
    material, say = read_material(run_dir), Messages(language)
    charts = run_dir / "charts"
    charts.mkdir(exist_ok=True)
    for name, svg in draw(material, say).items():
        files.replace(charts / f"{name}.svg", [svg.encode()])
    return write_draft(run_dir, compose(material, say))


def compose(material: Material, say: Messages) -> str:
    """The whole page."""
    blocks: list[Markup] = []
    for section, pictures in SECTIONS:
        blocks += section(material, say)
        if len(material.curves.t_s):
            blocks += [_picture(name, say) for name in pictures]
    return "\n\n".join(blocks) + "\n\n"


def _picture(name: str, say: Messages) -> Markup:
    return Markup(f"![{say(f'chart.{name}_alt')}](charts/{name}.svg)")
