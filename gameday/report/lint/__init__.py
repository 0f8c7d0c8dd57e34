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

from gameday.core import files, settings
from gameday.core.errors import UsageError
from gameday.core.language import ENGLISH, languages
from gameday.core.messages import templates
from gameday.report.draft_file import LARGEST_BYTES, parse
from gameday.report.inputs import read_material
from gameday.report.lint.blocks import DraftBlock, of_html, of_markdown
from gameday.report.lint.numbers import ShownNumber, masked, numbers_in
from gameday.report.lint.sources import Sources, Support
from gameday.report.messages import Messages
from gameday.report.postmortem import compose

_MARKUP: Final = re.compile(r"[*`\\]|^(?:[>#]+ )+")
_LANG: Final = re.compile(r'<html lang="([a-z]{2})"')
_HAS_DIGIT: Final = re.compile(r"\d")
_HAS_WORD: Final = re.compile(r"[^\W\d_]{2}")
_HEAD_CHARS: Final = 200
Lines = Mapping[str, Counter[str]]
_LARGEST: Final = max(LARGEST_BYTES, 8 * files.MIB)


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A number without a source: where it stands, and why it has none."""

    line: int
    number: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """Counts of the numbers and of those in gameday's sentences; those without a source."""

    numbers: int
    of_template: int
    unsupported: Sequence[Unsupported]


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
        from gameday.report.html import fresh_page  # only where there is a page to look at

        language = _language_of(text)
        made = of_html(fresh_page(material, Messages(language)))
        return lint_blocks(of_html(text), sources, by_words(made), language)
    language = parse(text, files.shown_path(path)).head.language
    fresh = of_markdown(compose(material, Messages(language)))
    return lint_blocks(of_markdown(text), sources, by_words(fresh), language)


def _language_of(page: str) -> str:
    """The language that a page says it is in."""
    found = _LANG.search(page[:_HEAD_CHARS])
    return found[1] if found and found[1] in languages() else settings.language()


def by_words(blocks: Iterable[DraftBlock]) -> Lines:
    """Texts, and how often each stands there, by what they are without their numbers."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for block in blocks:
        found[masked(block.text)][block.text] += 1
    return found


def lint_blocks(
    blocks: Iterable[DraftBlock], sources: Sources, fresh: Lines, language: str = ENGLISH
) -> Linted:
    """Look at each number of the blocks; `fresh` is the report as the evidence gives it now."""
    numbers, of_template = 0, 0
    unsupported: list[Unsupported] = []
    left = {words: Counter(texts) for words, texts in fresh.items()}
    every = list(blocks)
    report = "\n".join(block.text for block in every)
    # What the evidence says in words stays English in a report of any language.
    known = (each for spoken in {ENGLISH, language} for each in _patterns(spoken))
    patterns = [(whole, needle) for whole, needle in known if needle in report]
    for block in every:
        found = [*numbers_in(block.text)]
        if not found:
            continue
        numbers += len(found)
        ours = _of_sentences(block.text, patterns)
        of_template += sum(each.at in ours for each in found)
        changed = [*_changed(block, left)]
        unsupported += changed
        at_fault = {each.number for each in changed}
        support = Support(block, sources)
        for each in found:
            if each.at in ours or each.word in at_fault:
                continue
            if (why := _unsupported(each, support)) is not None:
                unsupported.append(Unsupported(block.line, each.word, why))
    return Linted(numbers=numbers, of_template=of_template, unsupported=unsupported)


def _changed(block: DraftBlock, left: Lines) -> Iterator[Unsupported]:
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
        if is_.replace(",", "") != should.replace(",", ""):  # an older version wrote no commas
            yield Unsupported(block.line, is_, f"the evidence gives {should}")


def _unsupported(number: ShownNumber, support: Support) -> str | None:
    """Reason why nothing supports the number; None where something does."""
    if support.is_dead(number.word):
        return "the reference leads nowhere"
    if support.has(number):
        return None
    return "no reference of its line has it" if support.references else "the run does not know it"


def _of_sentences(text: str, patterns: Sequence[tuple[str, str]]) -> frozenset[int]:
    """Places in the text of numbers that belong to sentences of gameday's own."""
    found: set[int] = set()
    places = [number.at for number in numbers_in(text)]
    for whole, needle in patterns:
        if needle not in text:
            continue
        pattern = _compiled(whole)
        for match in pattern.finditer(text):
            for group in range(1, (pattern.groups or 0) + 1):
                start, end = match.span(group)
                found |= {at for at in places if start <= at < end}
    return frozenset(found)


@cache
def _patterns(language: str) -> Sequence[tuple[str, str]]:
    """Every sentence with a number of its own, as a pattern, and a word that it must have.

    The groups of the pattern are the sentence's own words. Few of them stand in one report, so
    that a pattern is compiled when its piece was seen.
    """
    found = []
    for id_, template in templates(language).items():
        if id_.startswith(("date.", "unit.")) or not _HAS_DIGIT.search(template):
            continue
        pieces = [*_pieces(template)]
        own = [piece for piece in pieces if piece is not None and _HAS_DIGIT.search(piece)]
        if _HAS_WORD.search(" ".join(own)):  # a number alone is a value, not a sentence
            needle = max((word for each in own for word in each.split()), key=len)
            whole = "".join(map(_pattern, pieces))
            found.append((rf"(?<![\w.,]){whole}(?![\w])", needle))
    return found


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _pieces(template: str) -> Iterator[str | None]:
    """The sentence's own words without their markup, and None for each gap."""
    for literal, name, *_ in Formatter().parse(template):
        yield _MARKUP.sub("", literal)
        if name:
            yield None


def _pattern(piece: str | None) -> str:
    if piece is None:
        return ".+?"
    words = r"\s+".join(map(re.escape, piece.split()))
    lead = r"\s*" if piece[:1].isspace() else ""
    tail = r"\s*" if piece[-1:].isspace() else ""
    return f"{lead}({words}){tail}" if words else r"\s*"
