"""Seeded rot: what becomes of a playbook while the rest of the project goes on without it.

Three ways in which it comes. `text`: the playbook names what was never so, or is so no more.
`world`: the rest of the project is changed, as a rename in one commit would do it, and the playbook
stays. `inserted`: a line as people write it (a command, an address, a link) that is right, and then
the same line rotten; the right one is kept with it, for it must not be complained about.

Written from the words of the task and before any of the checks, so that it draws what rots and not
what is looked for.
"""

# ruff: noqa: E501  - a table of lines reads best with one of them a line

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("playbooks", "experiments", "system_under_test", "compose.yml", "docs")
WORLD: Final = ("system_under_test", "experiments", "compose.yml")
KINDS: Final = (
    *("metric", "label", "action", "address", "flag", "link", "alert"),
    *("severity", "step", "experiment"),
)

Files = Mapping[str, str]
"""Every text file of the project by its path."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rot: `edits` are whole new files (None: it is gone), `old` became `new`.

    `right` are the files with the inserted line before it rotted, empty where none was inserted.
    """

    kind: str
    form: str
    playbook: str
    old: str
    new: str
    edits: Mapping[str, str | None]
    right: Files = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.kind} ({self.form}) {self.playbook}: {self.old!r} became {self.new!r}"


Draw = Callable[[random.Random, Files, str], Mutant | None]


def project(root: Path = ROOT) -> dict[str, str]:
    """The text files of a project that playbooks speak of.

    Translations are left out: one that is not of its playbook is refused before anything is read.
    """
    found = {}
    for part in PARTS:
        paths = [root / part] if (root / part).is_file() else sorted((root / part).rglob("*"))
        for path in paths:
            if path.name.endswith(".ko.md"):
                continue
            if path.is_file() and path.suffix in (".md", ".yaml", ".yml", ".py", ".txt", ".prom"):
                found[path.relative_to(root).as_posix()] = path.read_text()
    return found


def mutants(files: Files, count: int, seed: int) -> Iterator[Mutant]:
    """As many mutants, drawn by the seed: kinds in turn, everything else at random."""
    books = sorted(name for name in files if name.startswith("playbooks/"))
    seen: set[tuple[str, str, str, str]] = set()
    made = tries = 0
    while made < count and tries < count * 50:
        rng = random.Random(f"{seed}:{tries}")
        kind = KINDS[tries % len(KINDS)]
        tries += 1
        draws = DRAWS[kind]
        mutant = rng.choice(draws)(rng, files, rng.choice(books))
        if mutant is None:
            continue
        key = mutant.form, mutant.playbook, mutant.old, mutant.new
        if key in seen:
            continue
        seen.add(key)
        made += 1
        yield mutant


def renamed(rng: random.Random, name: str) -> str:
    """A name as a rename or a slip would leave it; two letters alike change places in vain."""
    while True:
        other = _renamed(rng, name)
        if other != name:
            return other


def _renamed(rng: random.Random, name: str) -> str:
    words = re.split(r"([_-])", name)
    synonyms = {
        "issuance": "coupon", "requests": "calls", "request": "call", "total": "count",
        "seconds": "milliseconds", "dependency": "upstream", "errors": "failures", "pool": "lane",
        "use": "switch",
        "in": "busy", "strategy": "mode", "limit": "throttle", "users": "clients",
        "paused": "stopped", "pause": "halt", "redis": "valkey", "postgres": "database",
        "db": "sql",
        "slow": "late", "down": "gone", "live": "open", "over": "excess", "store": "ledger",
        "drift": "gap", "unsettled": "pending", "flight": "progress", "scale": "grow", "out": "up",
    }  # fmt: skip
    ways = ["suffix", "slip", "swap"]
    if any(word in synonyms for word in words):
        ways += ["synonym"] * 4
    way = rng.choice(ways)
    if way == "synonym":
        known = [n for n, word in enumerate(words) if word in synonyms]
        at = rng.choice(known)
        return "".join([*words[:at], synonyms[words[at]], *words[at + 1 :]])
    if way == "suffix":
        joint = "-" if "-" in name else "_"
        return name + joint + rng.choice(["v2", "new", "all", "by" + joint + "replica"])
    at = rng.randrange(1, len(name) - 1)
    if way == "slip":
        return name[:at] + name[at + 1 :]
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _at(rng: random.Random, text: str, pattern: str) -> re.Match[str] | None:
    found = list(re.finditer(pattern, text, re.MULTILINE))
    return rng.choice(found) if found else None


def _text(
    kind: str, files: Files, book: str, match: re.Match[str] | None, new: str
) -> Mutant | None:
    """The playbook with the first group of a match replaced."""
    if match is None or match[1] == new:
        return None
    text = files[book]
    edited = text[: match.start(1)] + new + text[match.end(1) :]
    return Mutant(kind, "text", book, match[1], new, {book: edited})


def _world(kind: str, files: Files, book: str, old: str, new: str) -> Mutant | None:
    """A name replaced in everything but the playbooks, word for word."""
    whole = re.compile(rf"(?<![\w-]){re.escape(old)}(?![\w-])")
    edits = {}
    for name, text in files.items():
        if name.split("/", maxsplit=1)[0] in WORLD and whole.search(text):
            edits[name] = whole.sub(new, text)
    if not edits or not whole.search(files[book]):
        return None
    return Mutant(kind, "world", book, old, new, dict(edits))


def _inserted(
    rng: random.Random, kind: str, files: Files, book: str, line: tuple[str, str, str]
) -> Mutant | None:
    """A line put at the end of a section: `line` is a template, its right and its rotten value."""
    template, right, wrong = line
    places = [
        m.start()
        for m in re.finditer(r"^## (?:Do not|Verify|Undo|Call)", files[book], re.MULTILINE)
    ]
    at = rng.choice(places)
    text = files[book]

    def put(value: str) -> str:
        return text[:at] + template.replace("@@", value) + "\n\n" + text[at:]

    return Mutant(kind, "inserted", book, right, wrong, {book: put(wrong)}, {book: put(right)})


METRIC = r"\b((?:issuance|dependency|pool)_[a-z_]+)(?=[{\[)\s`]|$)"


def metric_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], METRIC)
    return _text("metric", files, book, match, renamed(rng, match[1]) if match else "")


def metric_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], METRIC)
    if match is None:
        return None
    base = re.sub(r"_(bucket|sum|count|total)$", "", match[1])
    new = renamed(rng, base)
    edits = {}
    for name, text in files.items():
        if name.split("/", maxsplit=1)[0] in WORLD and re.search(rf"\b{base}(?![a-z])", text):
            edits[name] = re.sub(rf"\b{base}(?=_bucket|_sum|_count|_total|\b)", new, text)
    return Mutant("metric", "world", book, match[1], new, dict(edits)) if edits else None


def metric_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    right = rng.choice(["issuance_in_flight", "issuance_remaining", "pool_size", "issuance_rows"])
    template = rng.choice([
        "```promql\nmax(@@)\n```",
        "`@@` is the number to look at.",
        "```promql\nsum by (instance) (@@) > 10\n```",
        "| `@@` | it falls |",
    ])  # fmt: skip
    return _inserted(rng, "metric", files, book, (template, right, renamed(rng, right)))


def label_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"\{(dependency|strategy)=")
    other = {"dependency": ["store", "upstream", "name"], "strategy": ["mode", "counts"]}
    return _text("label", files, book, match, rng.choice(other[match[1]]) if match else "")


def label_by(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"by \((?:le, )?(dependency|outcome)\)")
    return _text("label", files, book, match, rng.choice(["kind", "result", "store"]))


def label_value(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r'\{(?:dependency|strategy)="(redis|postgres)"')
    new = {"redis": "valkey", "postgres": "postgresql"}
    return _text("label", files, book, match, new[match[1]] if match else "")


def action_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"^   (?:do|undo): ([a-z-]+)$")
    return _text("action", files, book, match, renamed(rng, match[1]) if match else "")


def action_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"^   (?:do|undo): ([a-z-]+)$")
    if match is None:
        return None
    return _world("action", files, book, match[1], renamed(rng, match[1]))


def action_gone(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"^   (?:do|undo): ([a-z-]+)$")
    name = "system_under_test/system.yaml"
    if match is None or not re.search(rf"^  {match[1]}:.*\n", files[name], re.MULTILINE):
        return None
    text = re.sub(rf"^  {match[1]}:.*\n", "", files[name], flags=re.MULTILINE)
    return Mutant("action", "world", book, match[1], "(gone)", {name: text})


def action_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    right = rng.choice(["use-postgres", "use-redis", "pause", "limit-users", "widen-pools"])
    template = rng.choice([
        "```sh\ngameday incident act @@\n```",
        "In a drill: `gameday incident act @@ --by me`.",
        "Take it back with `gameday incident act @@ --undo`.",
    ])  # fmt: skip
    return _inserted(rng, "action", files, book, (template, right, renamed(rng, right)))


def path_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"(/(?:admin/[a-z-]+|healthz))\b")
    if match is None:
        return None
    head, _, last = match[1].rpartition("/")
    ways = [f"{head}/{renamed(rng, last)}", f"/internal/{last}", f"/v2{match[1]}"]
    return _text("address", files, book, match, rng.choice(ways))


def path_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"(/admin/[a-z-]+)\b")
    if match is None:
        return None
    return _world("address", files, book, match[1], f"/ops/{match[1].rpartition('/')[2]}")


def port_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"\bport (\d{4})\b")
    return _text("address", files, book, match, rng.choice(["8405", "8936", "9404", "18404"]))


def port_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    new = rng.choice(["8936", "9404", "18404"])
    if "8404" not in files[book]:
        return None
    edits = {
        name: text.replace("8404", new)  # also as a default: `${BALANCER_PORT-8404}`
        for name, text in files.items()
        if name.split("/", maxsplit=1)[0] in WORLD and "8404" in text
    }
    return Mutant("address", "world", book, "8404", new, dict(edits))


def address_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    lines = [
        ("`curl -fsS http://@@/metrics | grep issuance_paused`", "127.0.0.1:9102", "127.0.0.1:9202"),
        ("```sh\ncurl -fsS http://@@/healthz\n```", "127.0.0.1:8080", "127.0.0.1:8088"),
        ("Look at <http://127.0.0.1:@@/metrics> first.", "9102", "9012"),
        ("Its admin port is @@.", "9102", "9103"),
        ("It is at `@@` on this machine.", "127.0.0.1:8080", "127.0.0.1:8000"),
        ("`curl http://@@:8080/healthz` answers 200.", "localhost", "coupons.old.internal"),
        ("```sh\ncurl -X POST @@/admin/pause\n```", "http://127.0.0.1:9102", "http://10.0.3.17:9102"),
        ("`curl -s @@/proxies` lists what lies in between.", "http://127.0.0.1:8474", "http://127.0.0.1:8475"),
        ("```sh\ncurl -X POST http://127.0.0.1:9102@@\n```", "/admin/pause", "/admin/halt"),
        ("`redis-cli -p @@ ping` says PONG.", "16379", "16380"),
        ("`psql -h 127.0.0.1 -p @@ gameday` connects.", "15432", "25432"),
        ("`valkey-cli -h 127.0.0.1 --port @@ info`", "6379", "6390"),
        ("The balancer shows it at [its page](http://127.0.0.1:@@/).", "8404", "8414"),
    ]  # fmt: skip
    return _inserted(rng, "address", files, book, rng.choice(lines))


def flag_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    lines = [
        ("`gameday run redis-slow @@`", "--short", "--quick"),
        ("```sh\ngameday run redis-down @@ none\n```", "--responder", "--who"),
        ("```sh\ngameday run redis-slow @@\n```", "--no-responder", "--without-responder"),
        ("`gameday @@`: I have it.", "ack", "acknowledge"),
        ("`gameday incident @@ \"Redis answers late\"`", "declare", "hypothesis"),
        ("`gameday incident act 1 @@ me`", "--by", "--as"),
        ("```sh\n$ gameday heal @@ 20261123T083000Z-redis-slow-k3f9\n```", "--trust", "--believe"),
        ("```sh\ngameday stop @@ \"the drop is on\"   # nobody begins a run\n```", "--hold", "--lock"),
        ("```bash\nCOMPOSE_PROFILES=grafana gameday up @@ compose\n```", "--stack", "--with"),
        ("`gameday @@ last`", "check", "judge"),
        ("`gameday runs @@ | jq .`", "--json", "--as-json"),
        ("```sh\ngameday validate && gameday plan redis-slow @@ FILE\n```", "--system", "--sut"),
        ("`gameday incident severity @@`", "sev2", "high"),
        ("`gameday traffic --url http://127.0.0.1:8080/healthz @@ 10/s --duration 5s`", "--rate", "--rps"),
        ("`gameday run redis-slow --stack @@`", "compose", "docker"),
        ("```console\n$ gameday @@ last\nruns/x/report.html\n```", "report", "postmortem"),
    ]  # fmt: skip
    return _inserted(rng, "flag", files, book, rng.choice(lines))


def body_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r'\{"(strategy|enabled|postgres)":')
    new = {"strategy": "mode", "enabled": "on", "postgres": "database"}
    return _text("flag", files, book, match, new[match[1]] if match else "")


def body_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    name = "system_under_test/system.yaml"
    pairs = [("strategy: postgres", "mode: postgres"), ("strategy: redis", "mode: redis")]
    pairs += [("enabled: true", "on_: true"), ("enabled: false", "on_: false")]
    pairs += [("{postgres: 16}", "{database: 16}"), ("{postgres: 8}", "{database: 8}")]
    used = {
        "strategy: postgres": '"strategy": "postgres"', "strategy: redis": '"strategy": "redis"',
        "enabled: true": '"enabled": true', "enabled: false": '"enabled": false',
        "{postgres: 16}": '"postgres": 16', "{postgres: 8}": '"postgres": 8',
    }  # fmt: skip
    pairs = [(old, new) for old, new in pairs if used[old] in files[book]]
    if not pairs:
        return None
    old, new = rng.choice(pairs)
    return Mutant("flag", "world", book, old, new, {name: files[name].replace(old, new)})


def compose_flag(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"--scale (service)=")
    return _text("flag", files, book, match, rng.choice(["coupons", "api"]))


def link_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"\]\(([a-z-]+)\.md\)")
    return _text("link", files, book, match, renamed(rng, match[1]) if match else "")


def link_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"\]\(([a-z-]+)\.md\)")
    if match is None:
        return None
    gone = f"playbooks/{match[1]}.md"
    moved = f"playbooks/{renamed(rng, match[1])}.md"
    edits: dict[str, str | None] = {gone: None}
    edits[moved] = files[gone].replace(f"name: {match[1]}", f"name: {Path(moved).stem}")
    for name, text in files.items():  # the experiments follow, the other playbooks do not
        if name.startswith("experiments/") and f"playbook: {match[1]}\n" in text:
            edits[name] = text.replace(f"playbook: {match[1]}\n", f"playbook: {Path(moved).stem}\n")
    return Mutant("link", "world", book, gone, moved, edits)


def link_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    lines = [
        ("See [how responders work](../docs/@@).", "responder.md", "responders.md"),
        ("The cause is [confirmed](#@@) first.", "confirm-the-cause-first", "confirm"),
        ("What it may do: [the file](../system_under_test/@@).", "system.yaml", "sut.yaml"),
        ("Not this one? [What not to do there](redis-slow.md#@@).", "do-not", "dont"),
        ("The drill of it is [here](../experiments/@@).", "redis-slow.yaml", "redis-slo.yaml"),
        ("![the page](../docs/@@)", "responder.md", "page.png"),
        ("[the page of the drop][1]\n\n[1]: ../docs/@@", "responder.md", "drop.md"),
        ("[dashboard](@@)", "https://grafana.example.com/d/abc", "https:/grafana.example.com/d/abc"),
        ("[wiki](@@)", "https://wiki.example.com/x", "https://wiki .example.com/x"),
        ("[the owner](@@)", "https://example.com/oncall", "htps://example.com/oncall"),
    ]  # fmt: skip
    return _inserted(rng, "link", files, book, rng.choice(lines))


ALERT = r"\b((?:Issuance|Redis|Postgres|Service|Traffic)[A-Z][A-Za-z]+)\b"


def camel(rng: random.Random, name: str) -> str:
    ways = {
        "Slow": "Late", "Failing": "Errors", "Errors": "Failing", "Down": "Gone", "Surge": "Spike",
        "Issuance": "Coupon", "Redis": "Valkey", "Postgres": "Database",
    }  # fmt: skip
    known = [word for word in ways if word in name]
    word = rng.choice(known)
    return rng.choice([name.replace(word, ways[word]), name + "Now", name[:-2] + name[-1]])


def alert_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], ALERT)
    return _text("alert", files, book, match, camel(rng, match[1]) if match else "")


def alert_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], ALERT)
    return _world("alert", files, book, match[1], camel(rng, match[1])) if match else None


def alert_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    right = rng.choice(
        ["IssuanceSlow", "StoreDrift", "OverIssuance", "TrafficSurge", "RedisErrors"]
    )
    template = rng.choice([
        "The alert `@@` resolves a minute later.",
        "If `@@` fires as well, call the owner.",
        "Wait until the alert `@@` is gone.",
    ])  # fmt: skip
    wrong = rng.choice([right + "High", "Coupon" + right, right[:-3] + right[-2:]])
    return _inserted(rng, "alert", files, book, (template, right, wrong))


def severity_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"^severity: (\w+)$")
    return _text(
        "severity", files, book, match, rng.choice(["pager", "p1", "urgent", "sev9", "hi"])
    )


def severity_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"^severity: (\w+)$")
    if match is None:
        return None
    new = {"page": rng.choice(["critical", "sev1"]), "warning": rng.choice(["ticket", "sev4"])}
    edits = {
        name: text.replace(f"severity: {match[1]}", f"severity: {new[match[1]]}")
        for name, text in files.items()
        if name.startswith(("system_under_test/prometheus/", "experiments/rules/"))
        and f"severity: {match[1]}" in text
    }
    return Mutant("severity", "world", book, match[1], new[match[1]], dict(edits))


def step_text(rng: random.Random, files: Files, book: str) -> Mutant | None:
    match = _at(rng, files[book], r"\bstep (\d)\b")
    return _text("step", files, book, match, rng.choice(["7", "4", "12", "9"]))


def step_removed(rng: random.Random, files: Files, book: str) -> Mutant | None:
    """The numbered items moved on: an item was put before the first, and nobody read the rest."""
    match = _at(rng, files[book], r"\bstep (\d)\b")
    if match is None:
        return None
    text = files[book]
    at = text.rindex(f"\n{match[1]}. ") if f"\n{match[1]}. " in text else -1
    if at < 0:
        return None
    body = re.search(r"\n(?=\d+\. |## )", text[at + 1 :])
    end = at + 1 + (body.start() if body else 0)
    number = int(match[1])
    if (
        re.search(rf"^{number + 1}\. ", text, re.MULTILINE)
        or f"step {number}" not in text[:at] + text[end:]
    ):
        return None
    return Mutant("step", "text", book, f"item {number}", "(gone)", {book: text[:at] + text[end:]})


def step_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    lines = [
        ("If that is not enough, go back to step @@.", "1", "6"),
        ("Only after step @@ has been verified.", "1", "5"),
        ("```sh\ngameday incident act @@\n```", "1", "8"),
        ("(see step @@)", "1", "7"),
    ]
    return _inserted(rng, "step", files, book, rng.choice(lines))


def experiment_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    names = sorted(Path(name).stem for name in files if re.match(r"experiments/[^/]+\.yaml", name))
    right = rng.choice(names)
    template = rng.choice([
        "Practise it: `gameday run @@ --short`.",
        "```sh\ngameday validate @@\n```",
        "```sh\ngameday plan @@\ngameday run @@\n```",
        "The experiment `@@` drills it.",
        "It is drilled by `experiments/@@.yaml`.",
        "```sh\ngameday show @@ --short\n```",
    ])  # fmt: skip
    return _inserted(rng, "experiment", files, book, (template, right, renamed(rng, right)))


def experiment_world(rng: random.Random, files: Files, book: str) -> Mutant | None:
    """A playbook whose experiment was told in it, and has another name now."""
    name = Path(book).stem
    using = [
        path for path, text in files.items()
        if re.match(r"experiments/[^/]+[.]yaml", path) and f"playbook: {name}\n" in text
    ]  # fmt: skip
    path = rng.choice(using)
    old = Path(path).stem
    new = renamed(rng, old)
    at = files[book].index("## Verify")
    text = f"{files[book][:at]}Practise it: `gameday run {old}`.\n\n{files[book][at:]}"
    moved = files[path].replace(f"name: {old}\n", f"name: {new}\n")
    edits = {book: text, path: None, f"experiments/{new}.yaml": moved}
    return Mutant("experiment", "world", book, old, new, edits, {book: text})


def playbook_inserted(rng: random.Random, files: Files, book: str) -> Mutant | None:
    right = rng.choice(sorted(Path(name).stem for name in files if name.startswith("playbooks/")))
    template = rng.choice(["Go on with the playbook `@@`.", "Go on with `playbooks/@@.md`."])
    return _inserted(rng, "experiment", files, book, (template, right, renamed(rng, right)))


DRAWS: Final[Mapping[str, Sequence[Draw]]] = {
    "metric": (metric_text, metric_text, metric_world, metric_inserted),
    "label": (label_text, label_by, label_value),
    "action": (action_text, action_world, action_gone, action_inserted),
    "address": (path_text, path_world, port_text, port_world, address_inserted, address_inserted),
    "flag": (flag_inserted, flag_inserted, flag_inserted, body_text, body_world, compose_flag),
    "link": (link_text, link_world, link_inserted, link_inserted),
    "alert": (alert_text, alert_world, alert_inserted),
    "severity": (severity_text, severity_world),
    "step": (step_text, step_removed, step_inserted),
    "experiment": (experiment_inserted, experiment_world, playbook_inserted),
}
