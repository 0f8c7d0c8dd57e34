"""The linter of reports: each number of a report stands in the evidence, or is a finding.

Two questions are asked of each number. *Is it supported?* Where its row or sentence gives a
reference, the number must be among what stands there, rounded and in the unit it is shown in;
without one, it must be of the run's own facts (its seed, its plan), or of a sentence of gameday's
own. *Was it changed?* A line that is a line of gameday's but for its numbers has been altered:
what the evidence gives there is said. A sentence that a person wrote may have any number that its
references support.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.messages import templates
from gameday.report.draft_file import LARGEST_BYTES, parse
from gameday.report.inputs import read_material
from gameday.report.lint.blocks import Block, of_html, of_markdown
from gameday.report.lint.numbers import TIME_UNITS, Number, masked, numbers_in
from gameday.report.lint.sources import Sources
from gameday.report.messages import Messages
from gameday.report.postmortem import compose

_MARKUP: Final = re.compile(r"[*`\\]|^(?:[>#]+ )+")
_LARGEST: Final = max(LARGEST_BYTES, 8 * files.MIB)


@dataclass(frozen=True, slots=True)
class Finding:
    """A number without a source: where it stands, and why it has none."""

    line: int
    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was looked at: how many numbers, how many of gameday's sentences, which have no source."""

    numbers: int
    of_template: int
    unsupported: Sequence[Finding]


def lint(run_dir: Path, path: Path) -> Linted:
    """Look at a report of the run in `path`, Markdown or HTML. Raises UsageError."""
    try:
        raw = files.read_bytes(path, _LARGEST)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", help="gameday report writes it") from error
    text = files.decode(raw, files.shown_path(path))
    material = read_material(run_dir)
    sources = Sources(material)
    if path.suffix == ".html":
        return lint_blocks(of_html(text), sources, {})
    language = parse(text, files.shown_path(path)).head.language
    fresh = of_markdown(compose(material, Messages(language)))
    return lint_blocks(of_markdown(text), sources, by_words(fresh))


def by_words(blocks: Iterable[Block]) -> Mapping[str, Sequence[str]]:
    """Texts by what they are without their numbers."""
    found: dict[str, list[str]] = defaultdict(list)
    for block in blocks:
        found[masked(block.text)].append(block.text)
    return found


def lint_blocks(
    blocks: Iterable[Block], sources: Sources, fresh: Mapping[str, Sequence[str]]
) -> Linted:
    """Look at each number of the blocks; `fresh` is the report as the evidence gives it now."""
    numbers, of_template = 0, 0
    unsupported: list[Finding] = []
    for block in blocks:
        found = [*numbers_in(block.text)]
        if not found:
            continue
        numbers += len(found)
        ours = _of_sentences(block.text)
        of_template += sum(each.at in ours for each in found)
        changed = [*_changed(block, fresh)]
        unsupported += changed
        at_fault = {each.number for each in changed}
        for each in found:
            if each.at not in ours and each.word not in at_fault:
                unsupported += _unsupported(each, block, sources)
    return Linted(numbers=numbers, of_template=of_template, unsupported=unsupported)


def _changed(block: Block, fresh: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """The numbers in which a line is not the line that the evidence gives."""
    known = fresh.get(masked(block.text))
    if not known or block.text in known:
        return
    here = [each.word for each in numbers_in(block.text)]
    options = [[each.word for each in numbers_in(text)] for text in known]
    nearest = min(options, key=lambda other: sum(a != b for a, b in zip(here, other, strict=False)))
    for is_, should in zip(here, nearest, strict=False):
        if is_ != should:
            yield Finding(block.line, is_, f"the evidence gives {should}")


def _unsupported(number: Number, block: Block, sources: Sources) -> Iterator[Finding]:
    """A finding if nothing supports the number."""
    if sources.is_reference(number.word):
        if sources.of(number.word) is None:
            yield Finding(block.line, number.word, "the reference leads nowhere")
        return
    references = [each for each in block.codes if sources.is_reference(each)]
    values: list[float] = []
    texts: list[str] = []
    for reference in references:
        known = sources.of(reference)
        if known is not None:
            values += known[0]
            texts += known[1]
    if number.unit in TIME_UNITS:
        values += sources.delays(references)
    values += sources.growth(references)
    sums = sources.of_file(block.text)
    general = sources.general
    if any(number.shows(each) for each in (*values, *sums[0])):
        return
    if any(number.word in each for each in (*texts, *sums[1])):
        return
    if number.value is None and number.word in sources.words:
        return
    if any(number.shows(each) for each in general[0]) and not references:
        return
    if any(number.word in each for each in general[1]):
        return
    why = "no reference of its line has it" if references else "the run does not know it"
    yield Finding(block.line, number.word, why)


def _of_sentences(text: str) -> set[int]:
    """Where in the text numbers stand that belong to sentences of gameday's own."""
    found: set[int] = set()
    for pattern, digits in _patterns():
        if digits.isdisjoint(re.findall(r"\d+", text)):
            continue
        for match in pattern.finditer(text):
            for group in range(1, (pattern.groups or 0) + 1):
                start, end = match.span(group)
                found |= {n.at for n in numbers_in(text) if start <= n.at < end}
    return found


@cache
def _patterns() -> Sequence[tuple[re.Pattern[str], frozenset[str]]]:
    """Every sentence that has a number of its own, as a pattern whose groups are its own text."""
    from gameday.core.language import languages

    found = []
    for language in languages():
        for id_, template in templates(language).items():
            own = [literal for literal, *_ in Formatter().parse(template)]
            digits = re.findall(r"\d+", " ".join(own))
            if not digits or id_.startswith(("date.", "unit.")):
                continue
            parts = []
            for literal, name, *_ in Formatter().parse(template):
                plain = " ".join(_MARKUP.sub("", literal).split())
                lead = r"\s*" if literal[:1].isspace() else ""
                tail = r"\s*" if literal[-1:].isspace() else ""
                words = r"\s*".join(map(re.escape, plain.split()))
                parts.append(f"{lead}({words}){tail}" if plain else r"\s*")
                parts.append(".+?" if name else "")
            found.append((re.compile("".join(parts)), frozenset(digits)))
    return found
