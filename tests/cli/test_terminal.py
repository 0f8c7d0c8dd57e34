"""What is printed: by one module alone, with nothing in it that a terminal would obey."""

import ast
import io
import os
from pathlib import Path

import pytest

from gameday.cli.drawing import SafeConsole, joined, styled, table
from gameday.cli.terminal import Output, block, escaped

CLI = Path(__file__).parents[2] / "gameday" / "cli"
MODULES = sorted(CLI.glob("*.py"))
PRINTS = {"print", "input"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
OF_CLICK = {
    "echo",
    "secho",
    "style",
    "echo_via_pager",
    "prompt",
    "confirm",
    "edit",
    "clear",
    "pause",
}
OF_TRACEBACK = {"print_exc", "print_exception", "print_stack", "print_tb", "print_last"}
OF_RICH = {
    "rich.text": {"Text"},
    "rich.console": {"Console"},
    "rich.live": {"Live"},
    "rich": {"print", "get_console"},
    "rich.prompt": {"Prompt", "Confirm"},
    "rich.markup": {"escape", "render"},
}
MAY = {"terminal.py": STREAMS | {"confirm", "prompt"}, "drawing.py": {"Console", "Text", "Live"}}


def prints(tree: ast.Module) -> set[str]:
    """Names by which a module could reach a terminal by itself; types in annotations aside."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
            known = OF_RICH.get(node.module or "", set())
            names = {alias.name for alias in node.names}
            found |= names & known
            found |= names & (STREAMS if node.module == "sys" else set())
            found |= names & (OF_CLICK if node.module == "click" else set())
            found |= names & (OF_TRACEBACK if node.module == "traceback" else set())
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            found |= {node.attr} & (STREAMS if owner == "sys" else set())
            found |= {node.attr} & (OF_CLICK if owner == "click" else set())
            found |= {node.attr} & (OF_TRACEBACK if owner == "traceback" else set())
            found |= {node.attr} & ({"write"} if owner == "os" else set())
        elif isinstance(node, ast.Name) and id(node) in called:
            found |= {node.id} & PRINTS
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_only_one_module_prints(path: Path) -> None:
    found = prints(ast.parse(path.read_text())) - MAY.get(path.name, set())
    used_as_type = {"Text"} & found if path.name in ("screen.py", "runs.py") else set()
    assert not found - used_as_type, "print with gameday.cli.terminal"
    for word in used_as_type:
        assert f"{word}(" not in path.read_text(), "make texts with gameday.cli.drawing.styled"


@pytest.mark.parametrize(
    "code",
    [
        "import click\nclick.echo('x')",
        "import sys\nsys.stdout.write('x')",
        "from sys import stderr",
        "print('x')",
        "from rich.console import Console",
        "import traceback\ntraceback.print_exc()",
        "import os\nos.write(1, b'x')",
    ],
)
def test_the_rule_bites(code: str) -> None:
    assert prints(ast.parse(code))


UNSAFE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x7f",
    "\r",
    "\x00",
    "\u202e",
    "\u2066",
    "\u2028",
]


@pytest.mark.parametrize("text", UNSAFE, ids=ascii)
def test_what_a_terminal_would_obey_is_escaped(text: str) -> None:
    shown = escaped(f"a{text}b")
    assert shown.isprintable()
    assert escaped(shown) == shown


def test_what_people_write_stays_as_it_is() -> None:
    text = "쿠폰 한정 수량\tnaïve → 99 %, می‌خواهم, 👩‍🚀"
    assert escaped(text) == text


def test_a_value_with_a_line_break_cannot_fake_a_line() -> None:
    assert block("by x\nrun last: no fault is in\n") == "by x\n    run last: no fault is in"


@pytest.mark.parametrize("text", UNSAFE, ids=ascii)
@pytest.mark.parametrize("live", [False, True], ids=["printed", "live"])
def test_a_console_obeys_nothing_but_its_own_styles(text: str, live: bool) -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=live, color_system=None, width=200)
    rows = table("head" + text)
    rows.add_row(f"[bold][link=http://x]cell{text}[/]")
    rows.add_row(joined(styled(f"styled{text}", "bold"), f"joined{text}"))
    console.print(rows)
    console.print(f"line{text} [red]")
    if live:
        with console.live(styled(f"line{text}")) as picture:
            picture.update(rows, refresh=True)
    said = file.getvalue()
    assert f"cell{text}" not in said
    assert f"line{text}" not in said
    assert "\x1b]" not in said
    assert "[bold][link=http://x]cell" in said


def test_what_cannot_be_encoded_is_escaped() -> None:
    raw = io.BytesIO()
    out = Output(io.TextIOWrapper(raw, encoding="ascii", errors="strict"), "stdout")
    out.write("쿠폰 \udcff\n")
    out.flush()
    assert raw.getvalue() == b"\\ucfe0\\ud3f0 \\udcff\n"


def test_what_a_program_reads_is_exact_in_a_pipe() -> None:
    raw = io.BytesIO()
    out = Output(io.TextIOWrapper(raw, encoding="ascii"), "stdout")
    out.write_exact('{"a": "쿠폰\u202e"}\n')
    assert raw.getvalue() == '{"a": "쿠폰\u202e"}\n'.encode()


def test_a_stream_that_cannot_be_written_is_lost_and_known() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as pipe:
        out = Output(pipe, "stdout")
        out.write("x")
        out.flush()
        assert out.reader_left
        out.write("y")  # and it stays silent
        out.flush()
    with Path("/dev/full").open("w") as full:
        out = Output(full, "stdout")
        out.write("x")
        out.flush()
        assert out.problem == "No space left on device"


def test_bytes_are_refused_as_by_any_text_stream() -> None:
    with pytest.raises(TypeError, match="takes text"):
        Output(io.StringIO(), "stdout").write(b"x")  # type: ignore[arg-type]
