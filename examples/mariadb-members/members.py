"""Coupons for members: they log in, get a token, and claim with it. MariaDB keeps all of it.

A member's password is in users.csv, which `python members.py users 2000` makes. A token is signed
and says whom it was given to, so no table of sessions is needed.
"""

import csv
import hashlib
import hmac
import json
import os
import secrets
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pymysql

HERE = Path(__file__).parent
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS campaigns (code VARCHAR(64) PRIMARY KEY,"
    " stock INT NOT NULL, remaining INT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS claims (id BIGINT PRIMARY KEY AUTO_INCREMENT,"
    " code VARCHAR(64) NOT NULL, member VARCHAR(32) NOT NULL, UNIQUE (code, member))",
    """CREATE OR REPLACE PROCEDURE claim(the_code VARCHAR(64), the_member VARCHAR(32))
    BEGIN
        DECLARE EXIT HANDLER FOR 1062 BEGIN ROLLBACK; SELECT 409, NULL; END;
        START TRANSACTION;
        INSERT INTO claims (code, member) VALUES (the_code, the_member);
        UPDATE campaigns SET remaining = remaining - 1 WHERE code = the_code AND remaining > 0;
        IF ROW_COUNT() = 0 THEN ROLLBACK; SELECT 410, NULL;
        ELSE COMMIT; SELECT 201, LAST_INSERT_ID();
        END IF;
    END""",
)
REASONS = {409: "claimed already", 410: "sold out"}
TOKEN_S = 3600
CONNECTIONS = 20
KEY = secrets.token_bytes(32)
Answer = tuple[int, dict]


class Pool:
    """Connections, all opened at once, used again, and thrown away where they broke."""

    def __init__(self, address):
        self._to = urlsplit(address)
        self._free = [self._connect() for _ in range(CONNECTIONS)]
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    @contextmanager
    def connection(self):
        if not self._places.acquire(timeout=2):
            raise ConnectionError("no connection is free")
        try:
            one = self._free.pop() if self._free else self._connect()
            try:
                yield one
            except BaseException:
                one.close()
                raise
            self._free.append(one)
        finally:
            self._places.release()

    def _connect(self):
        to = self._to
        return pymysql.connect(
            host=to.hostname,
            port=to.port or 3306,
            user=to.username,
            password=to.password or "",
            database=to.path.strip("/"),
            connect_timeout=2,
            read_timeout=3,
            write_timeout=3,
        )


def signed(member: str) -> str:
    """A token for a member: who, until when, and the proof that we made it."""
    text = f"{member}.{int(time.time()) + TOKEN_S}"
    return f"{text}.{hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()}"


def member_of(header: str) -> str | None:
    """The member of an Authorization header; None where the token is not ours, or old."""
    text, _, proof = header.removeprefix("Bearer ").rpartition(".")
    wanted = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), proof.encode()):
        return None
    member, _, until = text.rpartition(".")
    return member if int(until) > time.time() else None


class Shop(BaseHTTPRequestHandler):
    """POST /login, /campaigns, /claims/CODE; GET /health."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # each answer in one piece
    pool: Pool
    passwords: dict[str, str]

    def do_GET(self):
        self.answer(200, {"status": "up"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        _, what, *rest = self.path.split("/")
        try:
            if what == "login":
                self.answer(*self.login(parse_qs(body)))
            elif what == "campaigns":
                self.answer(*self.create(json.loads(body)))
            else:
                self.answer(*self.claim(*rest))
        except (pymysql.Error, OSError) as gone:
            self.answer(500, {"error": str(gone)})  # it may have happened

    def login(self, form: dict) -> Answer:
        name, password = form["name"][0], form["password"][0]
        if not hmac.compare_digest(self.passwords.get(name, "").encode(), password.encode()):
            return 401, {"error": "name or password is wrong"}
        return 200, {"token": signed(name)}

    def create(self, body: dict) -> Answer:
        with self.pool.connection() as database, database.cursor() as cursor:
            values = (body["code"], body["stock"], body["stock"])
            cursor.execute("INSERT INTO campaigns VALUES (%s, %s, %s)", values)
            database.commit()
        return 201, {"code": body["code"]}

    def claim(self, code: str) -> Answer:
        """All of it in one procedure: no row is locked while an answer is on its way."""
        member = member_of(self.headers.get("Authorization", ""))
        if member is None:
            return 401, {"error": "log in first"}
        with self.pool.connection() as database, database.cursor() as cursor:
            cursor.callproc("claim", (code, member))
            status, claim = cursor.fetchone()
        return status, {"claim": claim} if claim else {"error": REASONS[status]}

    def answer(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_) -> None:
        """The access log is not kept."""


def write_users(count: int) -> None:
    """users.csv: who may log in, and with which password."""
    with (HERE / "users.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("member", "password"))
        for number in range(count):
            writer.writerow((f"m{number:05d}", secrets.token_urlsafe(12)))


def main() -> None:
    """`users N` makes the users; without arguments the shop is served."""
    if sys.argv[1:2] == ["users"]:
        write_users(int(sys.argv[2]))
        return
    with (HERE / "users.csv").open(newline="") as file:
        Shop.passwords = {row["member"]: row["password"] for row in csv.DictReader(file)}
    Shop.pool = Pool(os.environ["DATABASE_URL"])
    with Shop.pool.connection() as database, database.cursor() as cursor:
        for statement in SCHEMA:
            cursor.execute(statement)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()


if __name__ == "__main__":
    main()
