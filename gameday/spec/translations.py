"""What shipped files say, in another language: titles, hypotheses, steps of playbooks, summaries.

Files are written in English, and a run records them as they are. Whoever reads in another language
is shown the translation of exactly that text, where there is one: a file that somebody has edited
speaks for itself. Sentences stand in `report/locale/`, a playbook in `<name>.<language>.md` beside
its English one, where everything that gameday reads has to be the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from gameday.core.errors import FileError, GamedayError
from gameday.core.language import ENGLISH, languages
from gameday.core.messages import templates
from gameday.spec.inputs import FileWarning, LoadedPlaybook, load_playbook
from gameday.spec.playbook import Playbook
from gameday.spec.shipped import all_playbooks
from gameday.spec.yaml import shown_path

_OF_FILES: Final = ("experiment.", "rule.", "drill.")


def translated(text: str, language: str) -> str:
    """The text in a language; as it is where nobody has translated exactly this one."""
    return text if language == ENGLISH else _memory(language).get(text, text)


@cache
def _memory(language: str) -> Mapping[str, str]:
    """Every text of a shipped file by its English form."""
    english, own = templates(ENGLISH), templates(language)
    found = {
        text: own[id_]
        for id_, text in english.items()
        if id_.startswith(_OF_FILES) and id_ in own and "{" not in text
    }
    return found | dict(_of_playbooks(language))


def _of_playbooks(language: str) -> Iterator[tuple[str, str]]:
    for path in all_playbooks():
        with suppress(GamedayError, OSError):  # `gameday validate` tells of it
            book = load_playbook(path).playbook
            other = playbook_in(path, book, language)
            yield from zip([s.text for s in book.steps], [s.text for s in other.steps], strict=True)


def translation_file(path: Path, language: str) -> Path:
    """The file that a playbook's translation stands in, if it has one."""
    return path.with_name(f"{path.stem}.{language}{path.suffix}")


def playbook_in(path: Path, book: Playbook, language: str) -> Playbook:
    """The words of the playbook at `path` in a language, with the steps of `book`.

    `book` itself where there is no translation, or one of another playbook than this.
    """
    if language == ENGLISH:
        return book
    with suppress(GamedayError, OSError):
        other = load_playbook(translation_file(path, language)).playbook
        if same_machine_parts(book, other):
            return other
    return book


def same_machine_parts(one: Playbook, other: Playbook) -> bool:
    """True if gameday would do the same with both: the head, and the numbers and blocks."""
    blocks = [[(step.number, step.block) for step in book.steps] for book in (one, other)]
    return one.head == other.head and blocks[0] == blocks[1]


def of_translations(loaded: LoadedPlaybook) -> Iterator[FileWarning]:
    """Translations that are not shown: unreadable, or with other machine parts than the playbook.

    They are warnings: whoever edits the English file is told all that is wrong with that first.
    """
    for language in languages():
        path = translation_file(loaded.path, language)
        if language == ENGLISH or not path.is_file():
            continue
        try:
            other = load_playbook(path)
        except FileError as error:
            place = error.place
            text = (
                f"{error.message.removeprefix(f'{place}: ')}; {loaded.path.name} is shown instead"
            )
            yield FileWarning(place, text)
            continue
        if same_machine_parts(loaded.playbook, other.playbook):
            continue
        name = shown_path(loaded.path)
        yield FileWarning(
            other.front.error((), "").place,
            f"its front matter or a step's block is not that of {name}, which is shown instead:"
            " copy the front matter and the yaml blocks, translate words alone",
        )
