"""Playbooks: the steps that are read out of Markdown, and the ones that are shipped."""

# ruff: noqa: E501  - a table of broken files reads best with one of them a line

from pathlib import Path

import pytest

from gameday.core.errors import FileError
from gameday.plan.validate import validate_playbook
from gameday.spec.inputs import find_system, load_playbook, load_system
from gameday.spec.playbook import read_markdown
from gameday.spec.shipped import all_playbooks

HEAD = "---\nname: slow\nalerts: [Slow]\n---\n"
WHOLE = """\
---
name: slow
alerts: [Slow]
severity: page
---

# Slow

1. Look at it.

2. Switch over. It is safe,
because it is fenced.

   ```yaml step
   do: use-other
   before: max(x) > 0.1
   after: min(strategy) == 1
   within: 7s
   undo: use-redis
   ```

   More words.

   ```sh
   curl -X POST …
   ```

## Later

3. A person mends the cause.

   - first this
   - then that

   ~~~yaml step
   after: max(x) < 0.1
   ~~~
"""


def test_steps_are_the_numbered_items_with_a_block() -> None:
    playbook, _, blocks = read_markdown(WHOLE, "slow.md")
    assert [step.number for step in playbook.steps] == [2, 3]
    first, second = playbook.steps
    assert first.text == "Switch over. It is safe, because it is fenced."
    assert (first.block.do, first.block.undo, first.line) == ("use-other", "use-redis", 11)
    assert first.block.within.total_seconds() == 7
    assert (second.block.do, second.text) == (None, "A person mends the cause.")
    assert str(blocks[2].place("after")) == "slow.md:17:4"


def step(block: str, indent: str = "   ", item: str = "1. Do it.\n\n") -> str:
    lines = ["```yaml step", *block.splitlines(), "```"]
    return HEAD + item + "\n".join(indent + line for line in lines) + "\n"


BROKEN = [
    ("", "1:1", "a playbook begins with its front matter", "begin with ---"),
    ("# Slow\n", "1:1", "a playbook begins with its front matter", ""),
    ("---\nname: slow\n", "1:1", "the front matter has no end", "end it with ---"),
    ("---\n---\n", "2:1", "is empty", ""),
    ("---\nname: slow\n---\n", "2:1", "'alerts' is missing", ""),
    ("---\nname: slow\nalerts: []\n---\n", "3:1", "'alerts': must not be empty", ""),
    ("---\nname: slow\nalerts: [A]\nseverty: x\n---\n", "4:1", "unknown key 'severty'", "severity"),
    (step("do: Use Other"), "8:4", "'do': 'Use Other' is not a name", "small letters"),
    (step("doo: use-other"), "8:4", "unknown key 'doo'", "did you mean 'do'?"),
    (step("within: 10"), "8:4", "'within': 10 is not a duration", ""),
    (step("do: a\ndo: b"), "9:4", "key 'do' stands here twice", ""),
    (step("do: a", indent=""), "7:1", "a step must stand inside a numbered item", "indent it"),
    (step("do: a", item=""), "5:4", "a step must stand inside a numbered item", "put it under"),
    (step("do: a", item="- Do it.\n\n"), "7:4", "a step must stand inside a numbered item", ""),
    (step("do: a").replace("yaml step", "yaml steps"), "7:4", "unknown block 'yaml steps'", "yaml step"),
    (step("do: a").replace("yaml step", "yaml-step"), "7:4", "unknown block 'yaml-step'", "yaml step"),
    (step("do: a")[:-5], "7:4", "the block has no end", "end it with ```"),
    (step("do: a") + "\n   ```yaml step\n   do: b\n   ```\n", "11:4", "item 1 has a step already", ""),
    (step("do: a") + step("do: b").removeprefix(HEAD), "10:1", "step 1 comes after step 1", "number"),
    (step(""), "8:4", "is empty", ""),
    (step("do: a", indent=" " * 7), "7:8", "a step that is shown as text", "no further"),
    (step("do: a").replace("   do", "do"), "7:4", "the block has no end", "all its lines indented"),
    (step("do: a", item="text\n2. Do it.\n\n"), "8:4", "a step must stand inside", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "what", "help"), BROKEN)
def test_a_broken_playbook_says_where_what_and_how_to_mend_it(
    text: str, where: str, what: str, help: str
) -> None:
    with pytest.raises(FileError) as caught:
        read_markdown(text, "slow.md")
    assert caught.value.message.startswith(f"slow.md:{where}: ")
    assert what in caught.value.problem
    assert help in caught.value.help


def test_a_block_inside_another_block_is_only_text() -> None:
    text = HEAD + "````\n```yaml step\ndo: x\n```\n````\n"
    assert read_markdown(text, "slow.md")[0].steps == ()


def test_an_item_ends_where_the_text_is_no_longer_indented() -> None:
    text = HEAD + "1. Look.\n\nSome words.\n\n   ```yaml step\n   do: x\n   ```\n"
    with pytest.raises(FileError, match="a step must stand inside a numbered item"):
        read_markdown(text, "slow.md")


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("use-postgre", "is not an action of the system"),
        ("limit-users", "is what a step of it does"),
    ],
)
def test_what_is_warned_of_is_an_action_and_no_step(
    tmp_path: Path, named: str, problem: str
) -> None:
    text = next(path for path in all_playbooks() if path.stem == "db-slow").read_text()
    path = tmp_path / "db-slow.md"
    path.write_text(text.replace("do_not: [use-postgres", f"do_not: [{named}"))
    with pytest.raises(FileError, match=problem) as caught:
        validate_playbook(load_playbook(path), load_system(find_system(None)))
    assert ":5:" in caught.value.message


@pytest.mark.parametrize("path", all_playbooks(), ids=lambda path: path.stem)
def test_every_shipped_playbook_is_valid_without_warnings(path: Path) -> None:
    playbook = load_playbook(path)
    assert validate_playbook(playbook, load_system(find_system(None))) == []
    assert playbook.playbook.head.name == path.stem


@pytest.mark.parametrize("path", all_playbooks(), ids=lambda path: path.stem)
def test_every_shipped_playbook_has_what_a_tired_person_needs(path: Path) -> None:
    text = path.read_text()
    for part in ("Who suffers:", "How long there is:", "## Confirm the cause first", "## Mend"):
        assert part in text
    for part in ("## Do not", "## Verify", "## Undo", "## Call", "expected"):
        assert part in text


def test_every_step_that_acts_can_be_taken_back_and_names_its_proof() -> None:
    for path in all_playbooks():
        for each in load_playbook(path).playbook.steps:
            if each.block.do is not None:
                assert each.block.undo is not None
                assert each.block.before is not None
                assert each.block.after is not None
