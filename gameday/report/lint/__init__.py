"""The linter of reports: each number of a report stands in the evidence, or is a finding.

Two questions are asked of each number. *Is it supported?* Where its row or sentence gives a
reference, the number must be among what stands there, rounded and in the unit it is shown in;
without one, it must be of the run's own facts (its seed, its plan), or of a sentence of gameday's
own. *Was it changed?* A line that is a line of gameday's but for its numbers has been altered:
what the evidence gives there is said. A sentence that a person wrote may have any number that its
references support.
"""

import re
from collections import Counter, defaultdict
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
Lines = Mapping[str, Counter[str]]
_LARGEST: Final = max(LARGEST_BYTES, 8 * files.MIB)


@dataclass(frozen=True, slots=True)
class Finding:
    """A number without a source: where it stands, and why it has none."""

    line: int
    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """How many numbers there are, how many are of gameday's sentences, and which have no source."""

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


def by_words(blocks: Iterable[Block]) -> Lines:
    """Texts, and how often each stands there, by what they are without their numbers."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for block in blocks:
        found[masked(block.text)][block.text] += 1
    return found


def lint_blocks(blocks: Iterable[Block], sources: Sources, fresh: Lines) -> Linted:
    """Look at each number of the blocks; `fresh` is the report as the evidence gives it now."""
    numbers, of_template = 0, 0
    unsupported: list[Finding] = []
    left = {words: Counter(texts) for words, texts in fresh.items()}
    for block in blocks:
        found = [*numbers_in(block.text)]
        if not found:
            continue
        numbers += len(found)
        ours = _of_sentences(block.text)
        of_template += sum(each.at in ours for each in found)
        changed = [*_changed(block, left)]
        unsupported += changed
        at_fault = {each.number for each in changed}
        for each in found:
            if each.at not in ours and each.word not in at_fault:
                unsupported += _unsupported(each, block, sources)
    return Linted(numbers=numbers, of_template=of_template, unsupported=unsupported)


def _changed(block: Block, left: Lines) -> Iterator[Finding]:
    """The numbers in which a line is not the line that the evidence gives.

    Each line of the evidence counts once: a row that was made like another one is a change too.
    """
    known = left.get(masked(block.text))
    if not known:
        return
    if known[block.text] > 0:
        known[block.text] -= 1
        return
    here = [each.word for each in numbers_in(block.text)]
    options = [[n.word for n in numbers_in(text)] for text, often in known.items() if often > 0]
    if not options:
        return
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
    references = references or [each for each in block.above if sources.is_reference(each)]
    if _is_referred_to(number, block, references, sources):
        return
    values, texts = sources.general
    if any(number.word in each for each in texts):
        return
    if number.value is None and number.word in sources.words:
        return
    if not references and any(number.shows(each) for each in values):
        return
    why = "no reference of its line has it" if references else "the run does not know it"
    yield Finding(block.line, number.word, why)


def _is_referred_to(
    number: Number, block: Block, references: Sequence[str], sources: Sources
) -> bool:
    """True if a reference of the block, or the file that it names, has the number."""
    values, texts = sources.of_file(block.text)
    for known in filter(None, map(sources.of, references)):
        values = [*values, *known[0]]
        texts = [*texts, *known[1]]
    if number.unit in TIME_UNITS:
        values = [*values, *sources.delays(references)]
    values = [*values, *sources.growth(references)]
    return any(number.shows(each) for each in values) or any(number.word in each for each in texts)


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
