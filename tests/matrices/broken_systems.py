"""`python -m tests.matrices.broken_systems [-v]`: system files that are wrong, each in one place.

Each is a sound file with one thing changed; `§` marks where the error has to point. The error must
say what is wrong with the value, and give a cure; and the file with the cure followed must be
taken. `gameday validate` reads them all in one process. Exit code 1 where one does not.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from gameday.cli import main

USERS: Final = "member,email,token\nm1,a@b.c,t1\nm2,b@b.c,t2\n"

STEPS: Final = """name: shop
base_url: http://127.0.0.1:8080
toxiproxy: http://127.0.0.1:8474
proxies: {db: {proxy: db, protocol: mysql}}
users: {file: users.csv, id: member, public: [member]}
requests:
  before:
    login:
      post: /login
      json: {email: "{email}"}
      capture: {session: data.token}
      per: user
    reserve:
      post: /reserve
      headers: {Authorization: "Bearer {session}"}
      capture: {order: {header: Location}}
  issue:
    post: /orders
    json: {id: "{member}"}
    query: {shop: "1"}
    timeout: 5s
    capture: {issue_id: id, ticket: ticket}
    outcomes:
      issued: {status: 201}
      duplicate: {status: 409, json: {result: again}}
      sold_out: {status: 409, text: {contains: gone}}
      accepted: {status: 202}
    poll:
      get: /tickets/{ticket}
      until: {issued: {status: 200, json: {state: ok}}}
      every: 500ms
      within: 10s
audit: {get: /audit}
commands:
  kill-cache: {run: ["true"], undo: ["true"], check: ["true"], within: 20s}
semantics: {per_user: one, units: 1}
settle: 2s
"""

PAGES: Final = """name: shop
base_url: http://127.0.0.1:8080
requests:
  issue:
    post: /orders
    json: {id: "u{user:05d}"}
    outcomes:
      issued: {status: 2xx, json: {"$": ok}}
      duplicate: {status: 4xx, text: {contains: already}}
      sold_out: {status: [409, 410], headers: {X-Reason: {matches: "^gone$"}}}
audit:
  get: /admin/claims
  url: http://127.0.0.1:9000
  query: {page: "{page}", sale: "{coupon}"}
  rows: data.items
  user: member.id
  id: voucher
  stock: data.limit
  remaining: data.left
  total: data.count
  paging: {from: 1}
campaign:
  create: {post: /sales, json: {name: "{coupon}", size: "{stock}"}}
  capture: {coupon: data.id}
"""

STORES: Final = """name: shop
base_url: http://127.0.0.1:8080
requests:
  issue: {post: /orders, json: {id: "{user}"}, outcomes: {issued: {status: 200}}}
audit: {store: mysql}
stores:
  mysql:
    url: {env: AUDIT_MYSQL}
    rows: SELECT member, code FROM claims WHERE sale = {coupon}
    stock: SELECT size FROM sales WHERE code = {coupon}
  redis: {url: {env: AUDIT_REDIS}, holders: {hash: "claims:{coupon}", user: value, id: field}}
before_run:
  - {post: /admin/reset}
  - {sql: ["DELETE FROM claims WHERE sale = {coupon}"], store: mysql, url: {env: RESET_MYSQL}}
  - {command: [make, warm-up], timeout: 20s}
"""

COMMAND: Final = """name: shop
base_url: http://127.0.0.1:8080
requests:
  issue: {post: /orders, json: {id: "{user}"}, outcomes: {issued: {status: 200}}}
audit:
  command: [python3, export.py, "{coupon}"]
  format: csv
  user: member
  id: code
  env: {DATABASE_PASSWORD: {env: DATABASE_PASSWORD}}
  timeout: 30s
"""

START: Final = """name: shop
base_url: http://127.0.0.1:8080
start:
  argv: [node, server.js, "--port={port}"]
  setup:
    - [npm, run, migrate]
    - {sql: schema.sql}
  env:
    DB_HOST: "{postgres_host}"
    DB_PASSWORD: "{postgres_password}"
    CACHE_URL: "{redis}"
  ready: /healthz
proxies: {redis: redis, postgres: postgres}
requests:
  issue: {post: /buy, json: {user: "{user}"}, outcomes: {accepted: {status: 200}}}
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A change of a sound file: `old` becomes `new`, and following the cure makes it `cured`.

    `says` is in the error, `cure` in its help; both as people read them.
    """

    base: str
    old: str
    new: str
    says: str
    cure: str
    cured: str

    @property
    def text(self) -> str:
        return self._with(self.new.replace("§", ""))

    @property
    def mended(self) -> str:
        return self._with(self.cured)

    def _with(self, text: str) -> str:
        if self.base.count(self.old) != 1:
            raise ValueError(f"{self.old!r} stands {self.base.count(self.old)} times")
        return self.base.replace(self.old, text)

    @property
    def place(self) -> str:
        """LINE:COLUMN of the mark."""
        before = self.base.replace(self.old, self.new).partition("§")[0]
        return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _of(base: str, *cases: tuple[str, str, str, str, str]) -> list[Broken]:
    return [Broken(base, *case) for case in cases]


# What stands there, what is written instead, what is said of it, its cure, the cure followed.
BROKEN: Final[Sequence[Broken]] = [
    *_of(
        STEPS,
        # users
        ("file: users.csv", "§file: usres.csv", "usres.csv", "name a regular file", "file: users.csv"),
        ("file: users.csv", "§file: users.txt", "its name says no format", ".csv", "file: users.csv"),
        ("id: member,", "§id: membr,", "'membr'", "'member'", "id: member,"),
        ("public: [member]", "public: [§emial]", "'emial'", "'email'", "public: [email]"),
        ("public: [member]", "§pubic: [member]", "'pubic'", "'public'", "public: [member]"),
        # before
        ("per: user", "§per: users", "'users'", "user", "per: user"),
        ("capture: {session: data.token}", "capture: {§session: ''}", "''", "$", "capture: {session: $}"),
        ("capture: {session: data.token}", "capture: {§user: data.token}", "user", "otherwise", "capture: {session: data.token}"),
        ('Authorization: "Bearer {session}"', '§Authorization: "Bearer {sesion}"', "{sesion}", "'session'", 'Authorization: "Bearer {session}"'),
        ('{order: {header: Location}}', '{§order: {}}', "header", "matches", "{order: {header: Location}}"),
        ('{order: {header: Location}}', '{§order: {matches: "a.c"}}', "no group", "( )", '{order: {matches: "(a.c)"}}'),
        ('{order: {header: Location}}', '{§order: {matches: "("}}', "missing )", "missing )", '{order: {matches: "(a)"}}'),
        ("      post: /login\n", "      §post: login\n", "'login'", "begin with /", "      post: /login\n"),
        ("    reserve:\n", "    §reserve:\n      get: /reserve\n", "exactly one", "post", "    reserve:\n"),
        # requests.issue
        ("  issue:\n", "  §issue:\n    text: x\n", "one body", "json", "  issue:\n"),
        ('json: {id: "{member}"}', 'json: {§id: "{membr}"}', "{membr}", "'member'", 'json: {id: "{member}"}'),
        ('query: {shop: "1"}', 'query: {§shop: [1]}', "a list is not text", "write one text", 'query: {shop: "1"}'),
        ("timeout: 5s", "§timeout: 5", "5 is not a duration", "ms, s, m or h", "timeout: 5s"),
        ("timeout: 5s", "§timeout: -5s", "-5s", "duration", "timeout: 5s"),
        ("issued: {status: 201}", "issued: {§status: 2x}", "'2x'", "2xx", "issued: {status: 2xx}"),
        ("issued: {status: 201}", "issued: {§status: 999}", "999", "599 or less", "issued: {status: 201}"),
        ("issued: {status: 201}", "§issued: {}", "'status' is missing", "status: 201", "issued: {status: 201}"),
        ("issued: {status: 201}", "§isued: {status: 201}", "'isued'", "'issued'", "issued: {status: 201}"),
        ("json: {result: again}", "json: {§'': again}", "''", "$", "json: {$: again}"),
        ("json: {result: again}", "json: {§a..b: again}", "'a..b'", "dot", "json: {a.b: again}"),
        ("text: {contains: gone}", "§text: {contains: gone, equals: x}", "one of", "equals", "text: {contains: gone}"),
        ("text: {contains: gone}", "text: {§matches: '(gone'}", "missing )", "missing )", "text: {matches: '(gone)'}"),
        # poll
        ("get: /tickets/{ticket}", "§get: /tickets/{tiket}", "{tiket}", "ticket", "get: /tickets/{ticket}"),
        ("every: 500ms", "§every: 0s", "0s", "500ms", "every: 500ms"),
        ("within: 10s\naudit", "§within: 100ms\naudit", "100ms", "within: 10s", "within: 10s\naudit"),
        ("until: {issued: {status: 200, json: {state: ok}}}", "§until: {}", "must not be empty", "write one at least", "until: {issued: {status: 200, json: {state: ok}}}"),
        ("      accepted: {status: 202}\n    poll", "    §poll", "accepted", "accepted: {status: 202}", "      accepted: {status: 202}\n    poll"),
        # faults' proxies and commands
        ("protocol: mysql", "§protocol: mysq", "'mysq'", "'mysql'", "protocol: mysql"),
        ("kill-cache: {run: [\"true\"], undo: [\"true\"]", "§kill-cache: {run: [\"true\"]", "'undo' is missing", "undo: [", "kill-cache: {run: [\"true\"], undo: [\"true\"]"),
        ("undo: [\"true\"]", "§undo: []", "must not be empty", "write one at least", "undo: [\"true\"]"),
        ("undo: [\"true\"]", "§undo: docker start x", "'docker start x' is not a list", "write a list: [docker, start, x]", 'undo: [docker, start, x]'),
        ("within: 20s}", "§within: 90s}", "1m30s is not 100ms to 60s", "within: 30s", "within: 60s}"),
        ("check: [\"true\"]", "§chek: [\"true\"]", "'chek'", "'check'", "check: [\"true\"]"),
        # semantics
        ("per_user: one", "§per_user: two", "'two'", "a whole number", "per_user: 2"),
        ("per_user: one", "§per_user: 0", "0", "1 or more", "per_user: 1"),
        ("units: 1", "§units: 0", "0", "1 or more", "units: 1"),
        ("units: 1", "§units: 1.5", "1.5", "whole number", "units: 2"),
        # addresses
        ("base_url: http://127.0.0.1:8080", "§base_url: 127.0.0.1:8080", "127.0.0.1:8080", "http://", "base_url: http://127.0.0.1:8080"),
        ("base_url: http://127.0.0.1:8080", "§base_url: http://u:p@127.0.0.1:8080", "credentials", "{env", "base_url: http://127.0.0.1:8080"),
        ("toxiproxy: http://127.0.0.1:8474", "§toxiproxy: http://127.0.0.1:99999", "99999", "http://HOST:PORT", "toxiproxy: http://127.0.0.1:8474"),
        ("audit: {get: /audit}\n", "", "'issued': coupons are issued, and the system has no `audit`", "add `audit`", "audit: {get: /audit}\n"),
        ("settle: 2s", "§settle: soon", "'soon' is not a duration", "ms, s, m or h", "settle: 2s"),
    ),
    *_of(
        PAGES,
        # ids
        ('id: "u{user:05d}"', '§id: "u{user:5d}"', "{user:5d}", "{user:05d}", 'id: "u{user:05d}"'),
        ('id: "u{user:05d}"', '§id: "u{user:099d}"', "{user:099d}", "40", 'id: "u{user:040d}"'),
        ('id: "u{user:05d}"', '§id: "u{user:hex}"', "{user:hex}", "{user:uuid}", 'id: "{user:uuid}"'),
        ('id: "u{user:05d}"', '§id: "u{usr:05d}"', "{usr:05d}", "user", 'id: "u{user:05d}"'),
        ('  issue:\n    post: /orders\n    json: {id: "u{user:05d}"}', '  §issue:\n    post: /orders\n    json: {id: "u{iteration}"}', "no {user} in the request", "{user}", '  issue:\n    post: /orders\n    json: {id: "u{user}"}'),
        ('id: "u{user:05d}"', '§id: "u{user:05d"', "has no end", "{{", 'id: "u{user:05d}"'),
        # audit
        ("url: http://127.0.0.1:9000", "§url: ftp://127.0.0.1:9000", "ftp", "http", "url: http://127.0.0.1:9000"),
        ("rows: data.items", "§rows: data..items", "'data..items'", "dot", "rows: data.items"),
        ("user: member.id", "§user: ''", "''", "$", "user: $"),
        ("id: voucher", "§ids: voucher", "'ids'", "'id'", "id: voucher"),
        ("stock: data.limit", "§stock: 100", "100 is not text", "put it in quotes", "stock: data.limit"),
        ("paging: {from: 1}", "paging: {§form: 1}", "'form'", "'from'", "paging: {from: 1}"),
        ("paging: {from: 1}", "paging: {§from: -1}", "-1", "0 or more", "paging: {from: 0}"),
        ("  paging: {from: 1}\n", "", "{page} stands for pages", "paging: {from: 1}", "  paging: {from: 1}\n"),
        ("paging: {from: 1}", "paging: {from: 1, §most: 0}", "0", "1 or more", "paging: {from: 1, most: 1}"),
        ("get: /admin/claims", "§get: admin/claims", "'admin/claims'", "begin with /", "get: /admin/claims"),
        # campaign
        ('json: {name: "{coupon}", size: "{stock}"}', 'json: {§name: "{user}", size: "{stock}"}', "{user}", "coupon", 'json: {name: "{coupon}", size: "{stock}"}'),
        ("capture: {coupon: data.id}", "capture: {§copon: data.id}", "'copon'", "'coupon'", "capture: {coupon: data.id}"),
        ("capture: {coupon: data.id}", "capture: {§coupon: data.}", "'data.'", "dot", "capture: {coupon: data}"),
    ),
    *_of(
        STORES,
        ("audit: {store: mysql}", "audit: {§store: mysq}", "'mysq'", "'mysql'", "audit: {store: mysql}"),
        ("audit: {store: mysql}", "audit: {§stores: mysql}", "'stores'", "'store'", "audit: {store: mysql}"),
        ("audit: {store: mysql}", "audit: {§store: postgres}", "no 'postgres' under `stores`", "add its address", "audit: {store: mysql}"),
        ("    rows: SELECT member, code FROM claims WHERE sale = {coupon}\n", "", "'rows' is missing", "rows: SELECT", "    rows: SELECT member, code FROM claims WHERE sale = {coupon}\n"),
        ("rows: SELECT member, code FROM claims WHERE sale = {coupon}", "§rows: DELETE FROM claims", "'DELETE FROM claims'", "SELECT", "rows: SELECT member, code FROM claims"),
        ("stock: SELECT size FROM sales WHERE code = {coupon}", "§stock: SELECT size FROM sales WHERE code = '{coupon}'", "in quotes", "leave the quotes out", "stock: SELECT size FROM sales WHERE code = {coupon}"),
        ('hash: "claims:{coupon}", user: value, id: field', 'hash: "claims:{coupon}", §user: val, id: field', "'val'", "value", 'hash: "claims:{coupon}", user: value, id: field'),
        ("url: {env: AUDIT_MYSQL}", "§url: mysql://u:secret@127.0.0.1/x", "it stands here as text", "{env: NAME}", "url: {env: AUDIT_MYSQL}"),
        ("url: {env: AUDIT_MYSQL}", "§url: {evn: AUDIT_MYSQL}", "a mapping", "{env: NAME}", "url: {env: AUDIT_MYSQL}"),
        ("{post: /admin/reset}", "{§pots: /admin/reset}", "'pots'", "post", "{post: /admin/reset}"),
        ("{post: /admin/reset}", "{post: /admin/reset, json: {§a: \"{user}\"}}", "{user}", "coupon", "{post: /admin/reset, json: {a: \"{coupon}\"}}"),
        ("store: mysql, url: {env: RESET_MYSQL}", "§store: postgres", "no 'postgres' under `stores`", "url: {env: NAME}", "store: postgres, url: {env: RESET_PG}"),
        ('sql: ["DELETE FROM claims WHERE sale = {coupon}"]', "§sql: []", "must not be empty", "write one at least", 'sql: ["DELETE FROM claims WHERE sale = {coupon}"]'),
        ("{command: [make, warm-up], timeout: 20s}", "{§command: make warm-up, timeout: 20s}", "'make warm-up' is not a list", "write a list: [make, warm-up]", "{command: [make, warm-up], timeout: 20s}"),
        ("{command: [make, warm-up], timeout: 20s}", "{command: [make, §'{token}'], timeout: 20s}", "{token}", "'stock'", "{command: [make, '{stock}'], timeout: 20s}"),
    ),
    *_of(
        COMMAND,
        ('command: [python3, export.py, "{coupon}"]', "§command: []", "must not be empty", "write one at least", 'command: [python3]'),
        ('command: [python3, export.py, "{coupon}"]', "§command: python3 export.py", "'python3 export.py' is not a list", "write a list: [python3, export.py]", "command: [python3, export.py]"),
        ("format: csv", "§format: xml", "'xml'", "csv", "format: csv"),
        ("audit:\n  command", "§audit:\n  stock: limit\n  command", "CSV has rows alone", "leave out stock", "audit:\n  command"),
        ("audit:\n  command: [python3, export.py, \"{coupon}\"]\n  format: csv\n  user: member", "§audit:\n  command: [python3]\n  format: csv\n  user: $", "in CSV a user is a column", "column", "audit:\n  command: [python3]\n  format: csv\n  user: member"),
        ("{DATABASE_PASSWORD: {env: DATABASE_PASSWORD}}", "{DATABASE_PASSWORD: {§env: ''}}", "must not be empty", "write it out", "{DATABASE_PASSWORD: {env: DATABASE_PASSWORD}}"),
        ("timeout: 30s", "§timeout: 0s", "0s", "timeout: 60s", "timeout: 30s"),
    ),
    *_of(
        START,
        ("argv: [node, server.js, \"--port={port}\"]", "argv: [node, §\"--db={postgres}\"]", "{postgres}", "start.env", "argv: [node, \"--port={port}\"]"),
        ('DB_HOST: "{postgres_host}"', '§DB_HOST: "{postgres_hots}"', "{postgres_hots}", "'postgres_host'", 'DB_HOST: "{postgres_host}"'),
        ("- {sql: schema.sql}", "- {§sql: shema.sql}", "shema.sql", "counts from the folder", "- {sql: schema.sql}"),
        ("- [npm, run, migrate]", "- §npm run migrate", "'npm run migrate' is not a list", "write a list: [npm, run, migrate]", "- [npm, run, migrate]"),
        ("- [npm, run, migrate]", "- [npm, §\"{postgres_password}\"]", "{postgres_password}", "start.env", "- [npm, run]"),
        ("- [npm, run, migrate]", "- §[]", "must not be empty", "write one at least", "- [npm]"),
        ("ready: /healthz", "§ready: healthz", "'healthz'", "begin with /", "ready: /healthz"),
        ('CACHE_URL: "{redis}"', '§CACHE_URL: "{redis"', "has no end", "{{", 'CACHE_URL: "{redis}"'),
    ),
]  # fmt: skip


def errors_of(texts: Sequence[str], folder: Path) -> list[dict[str, Any] | None]:
    """What `gameday validate` says of each, in one call; None where it takes the file."""
    (folder / "users.csv").write_text(USERS)
    (folder / "users.txt").write_text(USERS)
    (folder / "schema.sql").write_text("CREATE TABLE claims (id int);\n")
    files = [folder / f"system-{number:03}.yaml" for number in range(len(texts))]
    for path, text in zip(files, texts, strict=True):
        path.write_text(text)
    told = CliRunner().invoke(main, ["validate", "--json", *map(str, files)])
    return [each["error"] for each in json.loads(told.stdout)]


def wrong_with(cases: Sequence[Broken], folder: Path) -> Iterator[str]:
    """Everything that is not as it should be, a line each."""
    bases = [*dict.fromkeys(case.base for case in cases)]
    errors = errors_of([*bases, *(case.text for case in cases)], folder)
    for error in errors[: len(bases)]:
        if error is not None:
            yield f"a sound file is refused: {error}"
    mended = errors_of([case.mended for case in cases], folder)
    for case, error, after in zip(cases, errors[len(bases) :], mended, strict=True):
        yield from _wrong(case, error, after)


def _wrong(
    case: Broken, error: dict[str, Any] | None, after: dict[str, Any] | None
) -> Iterator[str]:
    name = case.new or f"without {case.old}"
    if error is None:
        yield f"{name!r}: it is taken"
        return
    told = f"{error['message']}\n    help: {error['help']}"
    if f".yaml:{case.place}: " not in error["message"] and "§" in case.new:
        yield f"{name!r}: not at {case.place}: {told}"
    elif ".yaml:" not in error["message"]:
        yield f"{name!r}: no place: {told}"
    if case.says.replace("§", "") not in error["message"]:
        yield f"{name!r}: {case.says!r} is not said: {told}"
    if not error["help"] and not case.cure:
        yield f"{name!r}: it has no cure: {told}"
    elif case.cure not in f"{error['help']} {error['message']}":
        yield f"{name!r}: its cure is another, not {case.cure!r}: {told}"
    if after is not None:
        yield f"{name!r}: with the cure it is refused: {after}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        if "-v" in sys.argv:
            for case, error in zip(
                BROKEN, errors_of([case.text for case in BROKEN], Path(made)), strict=True
            ):
                print(case.new, error and f"\n  {error['message']}\n  help: {error['help']}")
        found = [*wrong_with(BROKEN, Path(made))]
    print(*found, f"{len(BROKEN)} broken files, {len(found)} complaints", sep="\n")
    sys.exit(bool(found))
