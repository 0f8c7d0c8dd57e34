"""Translations of what is shipped: words alone are translated, what gameday reads is the same."""

import re
from pathlib import Path

import pytest

from gameday.core.errors import FileError
from gameday.core.language import languages
from gameday.core.messages import templates
from gameday.plan.validate import validate_playbook
from gameday.spec.inputs import find_system, load_drill, load_playbook, load_system
from gameday.spec.shipped import all_playbooks
from gameday.spec.translations import (
    playbook_in,
    same_machine_parts,
    translated,
    translation_file,
)

OTHERS = [each for each in languages() if each != "en"]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("path", all_playbooks(), ids=lambda path: path.stem)
def test_every_shipped_playbook_has_a_translation_with_equal_machine_parts(
    path: Path, language: str
) -> None:
    own, other = load_playbook(path), load_playbook(translation_file(path, language))
    assert same_machine_parts(own.playbook, other.playbook)
    assert [block.plain() for block in own.blocks.values()] == [
        block.plain() for block in other.blocks.values()
    ]
    for one, two in zip(own.playbook.steps, other.playbook.steps, strict=True):
        assert one.text != two.text
    code = [text.count("```") for text in (own.playbook.text, other.playbook.text)]
    assert code[0] == code[1]


def test_a_translation_is_no_playbook_of_its_own() -> None:
    assert not [path for path in all_playbooks() if "." in path.stem]


def test_a_step_is_read_in_the_language() -> None:
    book = load_playbook(ROOT / "playbooks" / "redis-slow.md").playbook
    assert translated(book.steps[0].text, "ko").startswith("Redis를 경로에서 뺀다.")
    assert translated(book.steps[0].text, "en") == book.steps[0].text
    assert translated("what nobody has translated", "ko") == "what nobody has translated"


@pytest.mark.parametrize(
    ("before", "after"), [("within: 10s", "within: 11s"), ("severity: page", "severity: warning")]
)
def test_a_translation_of_another_playbook_is_warned_of_and_not_shown(
    tmp_path: Path, before: str, after: str
) -> None:
    for path in (ROOT / "playbooks").glob("redis-slow*.md"):
        (tmp_path / path.name).write_text(path.read_text())
    system = load_system(find_system(str(ROOT / "system_under_test" / "system.yaml")))
    path = tmp_path / "redis-slow.md"
    loaded = load_playbook(path)
    assert validate_playbook(loaded, system) == []
    korean = translation_file(path, "ko")
    korean.write_text(korean.read_text().replace(before, after, 1))
    assert playbook_in(path, loaded.playbook, "ko") is loaded.playbook
    (told,) = validate_playbook(loaded, system)
    assert re.search(r"redis-slow\.ko\.md:\d+.*is not that of \S*redis-slow\.md", str(told))


def test_a_translation_that_lags_behind_hides_no_error_of_the_playbook(tmp_path: Path) -> None:
    for path in (ROOT / "playbooks").glob("redis-slow*.md"):
        (tmp_path / path.name).write_text(path.read_text())
    system = load_system(find_system(str(ROOT / "system_under_test" / "system.yaml")))
    path = tmp_path / "redis-slow.md"
    path.write_text(path.read_text().replace("do: use-postgres", "do: use-mysql", 1))
    with pytest.raises(FileError, match=r"redis-slow\.md:\d+.*use-mysql"):
        validate_playbook(load_playbook(path), system)


def test_a_translation_that_cannot_be_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "redis-slow.md"
    path.write_text((ROOT / "playbooks" / "redis-slow.md").read_text())
    translation_file(path, "ko").write_text("---\nname: [\n---\n")
    system = load_system(find_system(str(ROOT / "system_under_test" / "system.yaml")))
    (told,) = validate_playbook(load_playbook(path), system)
    assert "redis-slow.ko.md" in str(told)
    assert "redis-slow.md is shown instead" in str(told)


def test_a_translation_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "redis-slow.md"
    path.write_text((ROOT / "playbooks" / "redis-slow.md").read_text())
    book = load_playbook(path).playbook
    for content in (b"", b"\xff\xfe", b"---\n", b"x" * 100):
        translation_file(path, "ko").write_bytes(content)
        assert playbook_in(path, book, "ko") is book


def test_the_texts_of_a_drill_are_read_in_the_language() -> None:
    drill = load_drill("redis-slow", 1, "ko").drill
    assert drill.briefing == templates("ko")["drill.redis_slow.briefing"]
    assert load_drill("redis-slow", 1).drill.briefing == templates()["drill.redis_slow.briefing"]
