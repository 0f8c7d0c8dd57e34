"""The order of a postmortem's sections, and the writing of its files.

A person's edits are never overwritten. The last line of a draft is a comment with the SHA-256 of
everything above it; as long as it is true nobody has touched the file, and it is replaced. A draft
that somebody works on is left alone, and the new one goes beside it.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from gameday.core import files, settings
from gameday.core.language import ENGLISH
from gameday.report.certificates import write_certificates
from gameday.report.charts.charts import draw
from gameday.report.draft_file import DRAFT, front_matter
from gameday.report.format import in_language
from gameday.report.inputs import Material, read_material
from gameday.report.markdown import Markup
from gameday.report.messages import Messages
from gameday.report.sections.actions import actions
from gameday.report.sections.checks import proof, supporting_data
from gameday.report.sections.detection import detection
from gameday.report.sections.drill import drill
from gameday.report.sections.impact import impact
from gameday.report.sections.lessons import factors, lessons, prevention
from gameday.report.sections.response import recovery, response, trigger
from gameday.report.sections.summary import head_values, summary, title
from gameday.report.sections.timeline import timeline

_LARGEST_BYTES: Final = 64 * files.MIB
_SEAL: Final = re.compile(rb"<!-- gameday draft ([0-9a-f]{64}) -->\n\Z")
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
    (drill, ()),
    (supporting_data, ()),
)


def write_report(run_dir: Path, language: str | None = None) -> Path:
    """Write the postmortem draft, its charts and certificates; where the draft went.

    That is `postmortem.md`, or a file beside it where a person has edited that one. The language
    is that of the settings where none is given. Raises UnknownError where there is no result to
    report on.
    """
    material = read_material(run_dir)
    say = Messages(settings.language() if language is None else language)
    charts = run_dir / "charts"
    charts.mkdir(exist_ok=True)
    for name, svg in draw(material, say).items():
        files.replace(charts / _file(name, say.language), [svg.encode()])
    write_certificates(material, say)
    return write_draft(run_dir, compose(material, say))


def compose(material: Material, say: Messages) -> str:
    """The whole page."""
    blocks: list[Markup] = []
    with in_language(say.language):
        for section, pictures in SECTIONS:
            blocks += section(material, say)
            if len(material.curves.t_s):
                blocks += [_picture(name, say) for name in pictures]
    head = front_matter(head_values(material, say.language))
    return "\n\n".join([head, *blocks]) + "\n\n"


def _picture(name: str, say: Messages) -> Markup:
    return Markup(f"![{say(f'chart.{name}_alt')}](charts/{_file(name, say.language)})")


def _file(name: str, language: str) -> str:
    """A chart of a language by its own name: those of two languages lie side by side."""
    return f"{name}.svg" if language == ENGLISH else f"{name}.{language}.svg"


def write_draft(folder: Path, body: str, name: str = DRAFT) -> Path:
    """Write `postmortem.md`, or `postmortem.new.md` beside an edited one; where it went.

    `name` is that of another draft, which is treated alike.
    """
    raw = body.encode()
    sealed = raw + f"<!-- gameday draft {hashlib.sha256(raw).hexdigest()} -->\n".encode()
    path = next(
        path for path in _places(folder, name) if not os.path.lexists(path) or unedited(path)
    )
    files.replace(path, [sealed])
    return path


def unedited(path: Path) -> bool:
    """The file is byte for byte what `write_draft` wrote."""
    try:
        raw = files.read_bytes(path, _LARGEST_BYTES)
    except OSError:
        return False  # whatever it is, it is none of ours
    seal = _SEAL.search(raw)
    return seal is not None and hashlib.sha256(raw[: seal.start()]).hexdigest() == seal[1].decode()


def _places(folder: Path, name: str) -> Iterator[Path]:
    stem = name.removesuffix(".md")
    yield folder / name
    yield folder / f"{stem}.new.md"
    for number in count(2):
        yield folder / f"{stem}.new.{number}.md"
