"""What a process of another user finds of a drill, with nothing but a trainee's link.

It runs as a user that nothing belongs to. Its first line tells the link, what to look for and where
the drill lies; each further line is an order to give, or the name of a part of the search, and is
answered by a line with what was found. A stream stays open meanwhile, as of a page.

    page      every route, the stream from its beginning, the query box, the logs, the playbooks
    terminal  what the commands of gameday say to this user
    files     all that it may read: the drill's folder, temporary ones, /proc
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from gameday.console.app import CSRF_HEADER, ROUTES
from gameday.console.assets import assets

ROOT = Path(__file__).parents[2]
NAME_CHARACTERS = "_:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/log")
QUERIES_OF_A_SESSION = 50
OF_PROCESS = ("cmdline", "comm", "environ", "maps", "mountinfo", "status", "cgroup", "wchan")
MOST_BYTES = 64 * 1024 * 1024
OWN = ("incident act 1", "incident hint", "drill hint", "drill abort", "runs")
OF_STATE = ("incident ack", "heal")
OF_RUNS = ("runs", "check last", "readiness")


@dataclass(frozen=True, slots=True)
class Search:
    """What a stranger is told. `marked` are the words that stand in nothing but this drill."""

    link: str
    place: str
    words: Sequence[str]
    marked: Sequence[str]
    since_s: float
    home: str


@dataclass(slots=True)
class Finding:
    """Places where one of the words stands, and how much was looked through, by kind."""

    found: list[str] = field(default_factory=list)
    looked: Counter[str] = field(default_factory=Counter)

    def look(self, kind: str, where: str, raw: bytes, words: Sequence[str]) -> None:
        """Look through a text."""
        self.looked[kind] += 1
        lower = raw.lower()
        for word in words:
            at = lower.find(word.lower().encode())
            if at >= 0:
                self.found.append(f"{word!r} in {kind} {where}: {raw[max(0, at - 60) : at + 60]!r}")


class Page:
    """A session of the link's console. Queries are bounded for each, so it opens more of them."""

    def __init__(self, link: str, stack: ExitStack) -> None:
        self._base, _, self._token = link.partition("/#")
        self._stack = stack
        self._queries = 0
        self.http, self.csrf = self._session()
        self._query = self.http, self.csrf
        self._stack.enter_context(self.http.stream("GET", "/api/stream"))

    def _session(self) -> tuple[httpx.Client, str]:
        http = self._stack.enter_context(
            httpx.Client(base_url=self._base, timeout=20, trust_env=False)
        )
        answer = http.post(
            "/session", json={"token": self._token}, headers={"Origin": self._base}
        ).raise_for_status()
        return http, answer.json()["csrf"]

    def post(self, path: str, body: object) -> httpx.Response:
        """A write, as the page makes it."""
        return self.http.post(
            path, json=body, headers={"Origin": self._base, CSRF_HEADER: self.csrf}
        )

    def query(self, text: str, range_s: float = 0.0) -> httpx.Response:
        """The query box."""
        if self._queries % QUERIES_OF_A_SESSION == QUERIES_OF_A_SESSION - 1:
            self._query = self._session()
        self._queries += 1
        http, csrf = self._query
        return http.post(
            "/api/query",
            json={"query": text, "range_s": range_s},
            headers={"Origin": self._base, CSRF_HEADER: csrf},
        ).raise_for_status()

    def streamed(self, cursor: str) -> bytes:
        """All that the stream has to tell from a cursor on, up to now."""
        raw, before = b"", ""
        deadline = time.monotonic() + 20
        with self.http.stream("GET", "/api/stream", params={"from": cursor}) as answer:
            for line in answer.iter_lines():
                raw += line.encode() + b"\n"
                if line.startswith("id: "):
                    if line == before or time.monotonic() > deadline:
                        break
                    before = line
        return raw


def page(search: Search, session: Page, finding: Finding) -> None:
    """Search all that the console answers to this role."""
    told = [*_routes(session, finding), *_logs(session, search.words)]
    for where, raw in (*told, *_queries(session, search.words)):
        finding.look("page", where, raw, search.words)


def _routes(session: Page, finding: Finding) -> Iterator[tuple[str, bytes]]:
    """Every route that is read, and the facilitator's commands, which are to be refused."""
    for path in ["/", *(f"/static/{name}" for name in assets())]:
        yield path, session.http.get(path).content
    answers = {
        route.path: session.http.get(route.path)
        for route in ROUTES
        if route.method == "GET" and route.path != "/api/stream"
    }
    for command in ("hint", "inject", "debrief", "pause"):
        said = {"command": command, "text": "x"}
        answers[f"/api/facilitator/{command}"] = session.post("/api/facilitator/command", said)
    for path, answer in answers.items():
        if (answer.status_code == 403) != path.startswith("/api/facilitator"):
            finding.found.append(f"{path} answered {answer.status_code}")
        yield path, answer.content
    for cursor in ("-1.0", "3.0"):
        yield f"/api/stream?from={cursor}", session.streamed(cursor)


def _logs(session: Page, words: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Lines of each log, and of files that are no log of the service."""
    names = session.http.get("/api/logs").json()["files"]
    others = ["../journal.jsonl", "../inputs.sealed", "console.log", "toxiproxy.log", "reaper.log"]
    for name in [*names, *others]:
        for text in ("", *words):
            answer = session.http.get("/api/logs", params={"file": name, "search": text})
            yield f"/api/logs?file={name}&search=…", answer.content


def _queries(session: Page, words: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Every name, the series of each, and all series that have one of the words in a label."""
    labels = set()
    for text in ('{__name__=~".+"}', 'count by (__name__) ({__name__=~".+"})', "ALERTS"):
        yield text, session.query(text, 300).content
    for name in sorted(_names(session, "")):
        answer = session.query(f'{{__name__="{name}"}}', 60)
        labels |= set(re.findall(r'[{, ]([a-zA-Z_]\w*)="', " ".join(_series(answer))))
        yield f"the query {name}", answer.content
    any_of = "|".join(re.escape(each).replace("\\", "\\\\") for each in words)
    for label in sorted({*labels, "__name__", "fault", "experiment", "kind"}):
        text = f'{{{label}=~".*({any_of}).*"}}'
        yield f"the query {label}=~…", "\n".join(_series(session.query(text, 600))).encode()


def _series(answer: httpx.Response) -> list[str]:
    return [each["name"] for each in answer.json()["series"]]


def _names(session: Page, begin: str) -> Iterator[str]:
    """Names of all metrics that begin so; where too many do, those of each next character."""
    answer = session.query(f'count by (__name__) ({{__name__=~"{begin}.*", __name__!=""}})')
    told = answer.json()
    if told["problem"]:
        raise ValueError(told["problem"])
    names = re.findall(
        r'(?:__name__="([^"]+)"|^([a-zA-Z_:][\w:]*))', "\n".join(_series(answer)), re.MULTILINE
    )
    if not told["left_out"]:
        yield from (one or other for one, other in names)
        return
    for character in NAME_CHARACTERS:
        yield from _names(session, begin + character)


def terminal(search: Search, _session: Page, finding: Finding) -> None:
    """Search what commands say, with this user's own state, and with the drill's."""
    runs = str(Path(search.place) / "runs")
    said: list[tuple[str, Sequence[str], Mapping[str, str]]] = []
    own = {"HOME": search.home, "TMPDIR": search.home}
    theirs = {**own, "XDG_STATE_HOME": str(Path(search.place) / "state")}
    said += [(each, each.split(), own) for each in OWN]
    said += [(f"{each}, of the drill's state", each.split(), theirs) for each in OF_STATE]
    said += [(f"{each} --runs", [*each.split(), "--runs", runs], own) for each in OF_RUNS]
    for what, argv, folders in said:
        done = subprocess.run(
            [sys.executable, "-m", "gameday", *argv],
            env={**os.environ, **folders},
            cwd=search.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        finding.look("terminal", what, done.stdout + done.stderr, search.words)


def files(search: Search, _session: Page, finding: Finding) -> None:
    """Search all files that this user may read."""
    place = Path(search.place)
    _tree(place, search.words, finding, lambda _path: True)
    is_new: Callable[[Path], bool] = lambda path: path.lstat().st_mtime >= search.since_s  # noqa: E731
    for folder in ELSEWHERE:
        _tree(
            Path(folder), search.marked, finding, is_new, besides=(place, Path(search.home), ROOT)
        )
    _processes(search.marked, finding)


def _tree(
    top: Path,
    words: Sequence[str],
    finding: Finding,
    wanted: Callable[[Path], bool],
    besides: Sequence[Path] = (),
) -> None:
    for folder, folders, names in os.walk(top, onerror=lambda _: finding.looked.update(["closed"])):
        here = Path(folder)
        folders[:] = [
            each
            for each in folders
            if here / each not in besides and not os.path.exists(here / each / ".git")
        ]
        for name in [*names, *folders]:
            path = here / name
            try:
                if not wanted(path):
                    continue
                finding.look("name", str(path), name.encode(), words)
                if not path.is_file():
                    continue
                with path.open("rb") as file:
                    raw = file.read(MOST_BYTES)
            except OSError:
                finding.looked["closed"] += 1
                continue
            finding.look("file", str(path), raw, words)


def _processes(words: Sequence[str], finding: Finding) -> None:
    """What `/proc` tells of processes and sockets."""
    paths = [Path("/proc/net") / kind for kind in ("tcp", "tcp6", "udp", "unix")]
    links = []
    for folder in Path("/proc").glob("[0-9]*"):
        paths += [folder / name for name in OF_PROCESS]
        links += [folder / name for name in ("cwd", "exe", "root")]
        try:
            links += list((folder / "fd").iterdir())
        except OSError:
            finding.looked["closed"] += 1
    readers = [(path, path.read_bytes) for path in paths]
    readers += [(path, functools.partial(_target, path)) for path in links]
    for path, read in readers:
        try:
            finding.look("proc", str(path), read(), words)
        except OSError:
            finding.looked["closed"] += 1


def _target(path: Path) -> bytes:
    return os.fsencode(path.readlink())


PARTS: Mapping[str, Callable[[Search, Page, Finding], None]] = {
    "page": page,
    "terminal": terminal,
    "files": files,
}


def main() -> None:
    """Search at each line."""
    search = Search(**json.loads(sys.stdin.readline()))
    with ExitStack() as stack:
        session = Page(search.link, stack)
        session.post("/api/join", {"name": "ann", "role": "operations"}).raise_for_status()
        for line in sys.stdin:
            part, finding = line.strip(), Finding()
            if part in PARTS:
                PARTS[part](search, session, finding)
            else:
                answer = session.post("/api/order", json.loads(part))
                finding.look("page", "an order", answer.content, search.words)
            sys.stdout.write(json.dumps({"found": finding.found, "looked": finding.looked}) + "\n")
            sys.stdout.flush()


class Stranger:
    """The process, as who started it sees it: a context that ends it."""

    def __init__(self, search: Search, uid: int) -> None:
        self._search = search
        self._uid = uid

    def __enter__(self) -> Self:
        home = Path(self._search.home)
        home.mkdir(mode=0o700)
        os.chown(home, self._uid, self._uid)
        self._process = subprocess.Popen(
            [interpreter(self._uid), "-m", "tests.support.stranger"],
            **_as(self._uid, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send(json.dumps(asdict(self._search)))
        return self

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finds(self, part: str | Mapping[str, str]) -> Finding:
        """What a part of the search finds; or an order, what is answered to it."""
        self._send(part if isinstance(part, str) else json.dumps(part))
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the search of {part} ended"
        told: dict[str, Any] = json.loads(line)
        return Finding(told["found"], Counter(told["looked"]))

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _as(uid: int, home: Path) -> dict[str, Any]:
    """How a process of that user is started: with no group, and nothing of our environment."""
    paths = [str(ROOT), *(each for each in sys.path if each.endswith("site-packages"))]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "COLUMNS": "400",  # a table that is cut would hide what is looked for
    }
    who: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []}
    return {**who, "env": environment, "cwd": "/"}


def interpreter(uid: int) -> str:
    """A Python that this user may start, with our packages. Raises OSError where there is none."""
    if os.geteuid() != 0:
        raise PermissionError("only root can start a process of another user")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for each in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin:/bin")):
        if each is None:
            continue
        try:
            done = subprocess.run(
                [each, "-c", "import gameday.console.app, httpx"],
                **_as(uid, Path("/")),
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except OSError:
            continue  # it lies in somebody's home
        if done.returncode == 0:
            return each
    raise PermissionError(f"there is no {version} with our packages that every user may start")


def unused_uid() -> int:
    """A user that nothing belongs to."""
    import pwd

    taken = {each.pw_uid for each in pwd.getpwall()}
    return next(uid for uid in range(61_000 + os.getpid() % 1000, 65_000) if uid not in taken)


if __name__ == "__main__":
    main()
