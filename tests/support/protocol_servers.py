"""Small real servers of protocols that probes know: each says what a stranger is told, and no more.

What a stranger sent is kept, so that a test can see that nobody was asked what he should not be.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Serve = Callable[["Talk"], Awaitable[None]]


@dataclass
class Talk:
    """One connection of a stranger."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: bytearray

    async def hear(self, most: int = 4096) -> bytes:
        said = await self.reader.read(most)
        self.heard += said
        return said

    def say(self, raw: bytes) -> None:
        self.writer.write(raw)


@dataclass
class Small:
    """A server at work: its port, and all that strangers have sent."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    unfinished: int = 0
    """Handshakes that a stranger left in the middle: MySQL shuts out who does it too often."""


@asynccontextmanager
async def small_server(protocol: str) -> AsyncIterator[Small]:
    """A server of that protocol."""
    small = Small()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        small.connections += 1
        small.unfinished += 1
        try:
            await SERVERS[protocol](Talk(reader, writer, small.heard))
            small.unfinished -= 1
        except (OSError, EOFError, ValueError, IndexError, struct.error):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    small.port = server.sockets[0].getsockname()[1]
    try:
        yield small
    finally:
        server.close()


def mysql_packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def mysql_greeting(plugin: bytes = b"mysql_native_password") -> bytes:
    """A handshake of version 10."""
    able = 0x00080000 | 0x8000 | 0x200 | 0x1
    payload = b"\x0a" + b"11.4.2-MariaDB\0" + struct.pack("<I", 7) + b"saltsalt" + b"\0"
    payload += struct.pack("<HBHH", able & 0xFFFF, 45, 2, able >> 16) + bytes([21]) + bytes(10)
    return mysql_packet(0, payload + b"saltsaltsalt\0" + plugin + b"\0")


async def _mysql(talk: Talk, *, switches: bool = False) -> None:
    talk.say(mysql_greeting())
    login = await talk.hear()
    able = struct.unpack("<I", login[4:8])[0]
    user = login[36:].partition(b"\0")[0]
    if login[3] != 1 or not able & 0x200 or not user:
        raise ValueError("no login")
    number = 2
    if switches:
        talk.say(mysql_packet(2, b"\xfecaching_sha2_password\0" + b"saltsaltsaltsaltsalt\0"))
        if await talk.hear() != b"\0\0\0\3":
            raise ValueError("no password")
        number = 4
    denied = (
        b"\xff"
        + struct.pack("<H", 1045)
        + b"#28000Access denied for user '"
        + user
        + b"'@'localhost' (using password: NO)"
    )
    talk.say(mysql_packet(number, denied))


async def _mysql_that_switches(talk: Talk) -> None:
    await _mysql(talk, switches=True)


async def _smtp(talk: Talk) -> None:
    talk.say(b"220 mail.example ESMTP\r\n")
    while line := await talk.hear():
        talk.say(b"221 bye\r\n" if line == b"QUIT\r\n" else b"502 no\r\n")
        if line == b"QUIT\r\n":
            return


async def _greeting(talk: Talk) -> None:
    talk.say(b"* OK this is a server of its own kind\r\n")
    while await talk.hear():
        talk.say(b"* BAD\r\n")


async def _http(talk: Talk) -> None:
    line, _, _ = (await talk.hear()).partition(b"\r\n")
    if line.split(b" ")[2:] != [b"HTTP/1.1"]:
        raise ValueError(line)
    talk.say(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
    await talk.hear()


async def _kafka(talk: Talk) -> None:
    raw = await talk.hear()
    size, key, version, number = struct.unpack(">ihhi", raw[:12])
    if (size, key, version) != (len(raw) - 4, 18, 0):
        raise ValueError("not ApiVersions")
    body = struct.pack(">ih", number, 0) + struct.pack(">i", 1) + struct.pack(">hhh", 18, 0, 4)
    talk.say(struct.pack(">i", len(body)) + body)
    await talk.hear()


async def _amqp(talk: Talk) -> None:
    if await talk.hear() != b"AMQP\0\0\x09\x01":
        talk.say(b"AMQP\0\0\x09\x01")
        return
    method = struct.pack(">HH", 10, 10) + b"\0\x09" + struct.pack(">I", 0) + struct.pack(">I", 0)
    talk.say(b"\x01" + struct.pack(">HI", 0, len(method)) + method + b"\xce")
    await talk.hear()


async def _mongodb(talk: Talk) -> None:
    raw = await talk.hear()
    length, number, _, code = struct.unpack("<iiii", raw[:16])
    if length != len(raw) or code != 2013 or raw[26:31] != b"hello":
        raise ValueError("not hello")
    document = struct.pack("<i", 17) + b"\x01ok\0" + struct.pack("<d", 1.0) + b"\0"
    answer = struct.pack("<I", 0) + b"\0" + document
    talk.say(struct.pack("<iiii", len(answer) + 16, 1, number, 2013) + answer)
    await talk.hear()


async def _memcached(talk: Talk) -> None:
    while line := await talk.hear():
        talk.say(b"VERSION 1.6.18\r\n" if line == b"version\r\n" else b"ERROR\r\n")


async def _silent(talk: Talk) -> None:
    """Says nothing, and hangs up on whoever says anything."""
    await talk.hear()


SERVERS: dict[str, Serve] = {
    "mysql": _mysql,
    "mysql that switches": _mysql_that_switches,
    "smtp": _smtp,
    "greeting": _greeting,
    "http": _http,
    "kafka": _kafka,
    "amqp": _amqp,
    "mongodb": _mongodb,
    "memcached": _memcached,
    "silent": _silent,
}
