"""Links between pages, to files of the repository and to headings: each leads somewhere."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from docs.generator.links import anchors, broken, dead, to_the_repository

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
README = (ROOT / "README.md").read_text()
LONGEST_README = 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    assert list(dead(page)) == []


def test_a_link_to_a_file_or_a_heading_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `code` heading\n\n## Again\n\n## Again\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md#one-code-heading) [b](other.md#again-1) [c](#here) "
        "[d](https://example.com/gone)\n[e](other.md#again-2) [f](gone.md) [g](#there)\n"
        "```sh\n[h](also-gone.md)\n```\n"
    )
    told = [line.partition(": ")[2].partition(":")[0] for line in dead(page)]
    assert told == ["other.md#again-2", "gone.md", "#there"]


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {
        line
        for part in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in part.splitlines()
        if line and not line.startswith(":")
    }
    there = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert listed == there


def test_the_readme_is_short_and_shows_both_commands_first() -> None:
    lines = README.splitlines()
    assert len(lines) <= LONGEST_README
    assert [line.split()[:2] for line in lines[lines.index("```sh") + 1 :][:2]] == [
        ["make", "run"],
        ["make", "test"],
    ]
    assert "docs/tutorial.md" in README


def test_a_built_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">x</h1><a href="sub/a.html#here">1</a><a href="#top">2</a>'
        '<a href="sub/a.html#gone">3</a><a href="gone.html">4</a><img src="gone.png">'
        '<a href="https://example.com/gone">5</a><a href="mailto:x@example.com">6</a>'
    )
    (tmp_path / "sub" / "a.html").write_text('<p id="here"><a href="../index.html#top">back</a>')
    assert [line.split(": ")[1] for line in broken(tmp_path)] == [
        "gone.html",
        "gone.png",
        "sub/a.html#gone",
    ]


def test_a_link_to_a_file_outside_the_pages_becomes_a_copy_in_the_site(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "a.py").write_text("")
    app = SimpleNamespace(srcdir=tmp_path / "docs")
    text = ["[a](../examples/a.py) [b](../examples) [c](../gone.py) ![d](../examples/a.py)"]
    to_the_repository(app, "page", text)
    copied = "{download}`a <../examples/a.py>`"
    assert text == [f"{copied} `b` [c](../gone.py) ![d](../examples/a.py)"]


def test_anchors_are_those_of_a_code_host() -> None:
    text = "# Exit codes (the first!)\n## `network.latency`\n## A [link](x.md), and *stars*\n"
    assert anchors(text) == {"exit-codes-the-first", "networklatency", "a-link-and-stars"}
