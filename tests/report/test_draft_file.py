"""The draft as a file that people edit: read with patience, changed in its head alone."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import FileError, UsageError
from gameday.report.draft_file import (
    MOST_ITEMS,
    MOST_LINES,
    front_matter,
    parse,
    read_draft,
    set_head,
    with_head,
)

HEAD = "---\nstatus: draft\nowner:\ndate: 2026-11-23\n---\n\n"
ITEM = """## Action items

- [ ] make `no_over_issuance` valid again.

  Evidence: 30 too many

  ```yaml action
  type: prevent
  owner: checkout team
  due: 2026-12-24
  experiment: redis-torn
  expect: [no_over_issuance, stores_agree]
  ```
"""


def test_the_head_and_an_item_are_read() -> None:
    draft = parse(HEAD + ITEM, "p.md")
    assert (draft.head.status, draft.head.owner, draft.head.date) == ("draft", "", "2026-11-23")
    (item,) = draft.items
    assert item.title == "make `no_over_issuance` valid again."
    assert (item.type, item.owner, item.due) == ("prevent", "checkout team", date(2026, 12, 24))
    assert (item.experiment, item.expect) == ("redis-torn", ("no_over_issuance", "stores_agree"))
    assert (item.line, item.done, draft.problems) == (9, False, [])


def test_an_item_may_be_ticked_off_and_may_have_no_block() -> None:
    text = HEAD + "## Action items\n\n- [x] ring the vendor\n- [ ] tell the shop\n- no box\n"
    draft = parse(text, "p.md")
    assert [(i.title, i.done) for i in draft.items] == [
        ("ring the vendor", True),
        ("tell the shop", False),
    ]


def test_an_item_of_a_korean_draft_is_one_too() -> None:
    draft = parse(HEAD + "## 재발 방지 대책\n\n- [ ] 업체에 전화\n\n## 교훈\n\n- [ ] 아님\n", "p.md")
    assert [item.title for item in draft.items] == ["업체에 전화"]


@pytest.mark.parametrize("written", ["in review", "In-Review", "in_review", '"in review"'])
def test_a_status_is_understood_however_it_is_written(written: str) -> None:
    assert parse(HEAD.replace("draft", written), "p.md").head.status == "in review"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("status: draft", "status: fnal", "p.md:2:1: unknown status 'fnal'"),
        ("status: draft", "state: draft", "p.md:2:1: unknown key 'state'"),
        ("date: 2026-11-23", "date: 2026-13-45", "p.md:4:1: 'date': '2026-13-45' is no date"),
        ("owner:", "owner: [a", "p.md:"),
        ("due: 2026-12-24", "due: next week", "p.md:16:3: 'due': 'next week' is no date"),
        ("type: prevent", "type: prevnt", "p.md:14:3: unknown type 'prevnt'"),
        ("owner: checkout team", "ownr: checkout team", "p.md:15:3: unknown key 'ownr'"),
        ("  type: prevent\n", "  type: [\n", "p.md:16:6: not YAML"),
        ("---\n\n", "\n\n", "p.md:1:1: the front matter has no end"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_the_item_still_counts(
    old: str, new: str, told: str
) -> None:
    text = HEAD + ITEM
    assert old in text
    draft = parse(text.replace(old, new, 1), "p.md")
    assert any(problem.message.startswith(told) for problem in draft.problems), draft.problems
    assert [item.title for item in draft.items] == ["make `no_over_issuance` valid again."]


def test_a_file_of_something_else_is_read_without_harm() -> None:
    draft = parse("# Notes\n\n- [ ] buy milk\n", "p.md")
    assert draft.items == []
    assert draft.problems[0].message == "p.md:1:1: no front matter"


def test_a_draft_beyond_all_measure_is_refused_or_cut(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="50001:1: more than 50,000 lines"):
        parse("\n" * MOST_LINES, "p.md")
    many = parse(HEAD + "## Action items\n\n" + "- [ ] do\n" * (MOST_ITEMS + 5), "p.md")
    assert len(many.items) == MOST_ITEMS
    assert "more than 500 action items" in many.problems[-1].message
    huge = tmp_path / "postmortem.md"
    with huge.open("wb") as file:
        file.truncate(9 << 20)
    with pytest.raises(UsageError, match="larger than 8 MiB"):
        read_draft(huge)


def test_bytes_that_are_no_text_are_told_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "postmortem.md"
    path.write_bytes(b"---\nstatus: \xff\n---\n")
    with pytest.raises(FileError, match=r":2:9: byte 0xff is not UTF-8"):
        read_draft(path)


@given(st.text(max_size=400))
def test_no_text_at_all_makes_the_reader_fall(text: str) -> None:
    parse(text, "p.md")
    parse(HEAD + text, "p.md")
    parse(HEAD + "## Action items\n\n- [ ] x\n\n  ```yaml action\n  " + text, "p.md")


@given(st.text(max_size=60), st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_a_head_reads_back_and_the_rest_stays_as_it_was(owner: str, body: str) -> None:
    owner = "".join(c for c in owner if c.isprintable()).strip()
    written = with_head(HEAD + body, {"status": "in review", "owner": owner})
    draft = parse(written, "p.md")
    assert (draft.head.status, draft.head.owner) == ("in review", owner)
    assert written.endswith("---\n\n" + body)
    assert parse(front_matter({"owner": owner, "status": "final"}), "p.md").head.owner == owner


def test_windows_line_ends_comments_and_keys_of_others_stay() -> None:
    text = "---\r\nstatus: draft # ask Kim first\r\ntags: [a, b]\r\n---\r\n\r\nbody\r\n"
    assert with_head(text, {"status": "final", "owner": "ops"}) == (
        "---\r\nstatus: final # ask Kim first\r\ntags: [a, b]\r\nowner: ops\r\n---\r\n\r\nbody\r\n"
    )


def test_a_draft_of_before_gets_a_head() -> None:
    written = with_head("# Postmortem\n", {"status": "in review"})
    assert written == "---\nstatus: in review\n---\n\n# Postmortem\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "postmortem.md"
    other.write_text(HEAD)
    link.symlink_to(other)
    with pytest.raises(UsageError, match="it is a link"):
        set_head(link, {"status": "final"})
    assert other.read_text() == HEAD
