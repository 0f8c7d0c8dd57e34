"""Smallest exchanges of each protocol: what a stranger may ask, and what only that server answers.

None of them changes anything, and none needs a password. A server that speaks first is heard before
anything is said. MySQL counts a stranger who leaves in the middle of the handshake, and shuts out
his whole host after a hundred of them; so its handshake is brought to the end that it has for
strangers, a refused login.

Sources: the Redis protocol specification; PostgreSQL's message formats (SSLRequest); MySQL's
connection phase (HandshakeResponse41); AMQP 0-9-1, 4.2.2; Kafka's protocol guide (ApiVersions);
MongoDB's wire protocol (OP_MSG); memcached's protocol.txt; RFC 9110, 9.3.7; RFC 5321.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gameday.spec.proxies import Protocol

PING: Final = b"*1\r\n$4\r\nPING\r\n"
SSL_REQUEST: Final = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
NOBODY: Final = b"gameday-probe"  # the user whose login is refused
_NUMBER: Final = 0x67616D65  # of our request, by which its answer is known


@dataclass(frozen=True, slots=True)
class Conversation:
    """One exchange. `greets`: the server speaks first, and `question` may use what it said.

    `question` returns b"" where nothing is asked: then what was heard is the answer. `is_whole`
    says whether a greeting is all there, `is_answer` whether an answer is of this protocol.
    `farewell` returns what is still to be said after an answer to a question, so that the server
    sees a proper end; it is called again with what comes back.
    """

    question: Callable[[bytes], bytes]
    is_answer: Callable[[bytes], bool]
    greets: bool = False
    is_whole: Callable[[bytes], bool] = bool
    farewell: Callable[[bytes], bytes] = lambda _: b""


def _always(question: bytes) -> Callable[[bytes], bytes]:
    return lambda _: question


def _begins(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda said: said.startswith(beginnings)


def is_mysql(said: bytes) -> bool:
    """True for a handshake of version 10, or an error in its place, as MySQL and MariaDB say it."""
    return (
        len(said) > 7
        and int.from_bytes(said[:3], "little") < 4096
        and said[3] == 0
        and (said[4] == 0x0A or (said[4] == 0xFF and said[6] in (0x03, 0x04)))
    )


def _is_packet(said: bytes) -> bool:
    """True if a whole packet of MySQL is there."""
    return len(said) >= 4 and len(said) >= 4 + int.from_bytes(said[:3], "little")


def _mysql_login(greeting: bytes) -> bytes:
    """The login of nobody, as HandshakeResponse41; b"" to an error, which is the end already."""
    if not is_mysql(greeting) or greeting[4] != 0x0A:
        return b""
    long_password, protocol_41, secure, plugin_auth = 0x1, 0x200, 0x8000, 0x80000
    able = long_password | protocol_41 | secure | plugin_auth
    plugin = greeting[4:].rstrip(b"\0").rpartition(b"\0")[2][:64]
    if not plugin.isascii() or not plugin.endswith((b"_password", b"_plugin", b"_client")):
        plugin = b"mysql_native_password"
    said = struct.pack("<IIB23x", able, 1 << 24, 45) + NOBODY + b"\0" + b"\0" + plugin + b"\0"
    return len(said).to_bytes(3, "little") + b"\1" + said


def _mysql_end(said: bytes) -> bytes:
    """An empty password where another way to log in is offered; a proper end if it let us in."""
    if len(said) < 5:
        return b""
    number = (said[3] + 1) % 256
    match said[4]:
        case 0xFE | 0x01:
            return b"\0\0\0" + bytes([number])
        case 0x00:
            return b"\1\0\0\0\1"  # COM_QUIT
        case _:
            return b""


def _mongodb_hello() -> bytes:
    """OP_MSG with {hello: 1, $db: "admin"}."""
    body = b"\x10hello\0" + struct.pack("<i", 1)
    body += b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0" + b"\0"
    document = struct.pack("<i", len(body) + 4) + body
    message = struct.pack("<I", 0) + b"\0" + document
    return struct.pack("<iiii", len(message) + 16, _NUMBER, 0, 2013) + message


def _is_mongodb(said: bytes) -> bool:
    """True for an answer to our request."""
    if len(said) < 16:
        return False
    length, _, answers, code = struct.unpack("<iiii", said[:16])
    return length >= 16 and answers == _NUMBER and code in (1, 2013)


def _kafka_versions() -> bytes:
    """ApiVersions, version 0, which every broker answers before a login."""
    asked = struct.pack(">hhi", 18, 0, _NUMBER) + struct.pack(">h", 7) + b"gameday"
    return struct.pack(">i", len(asked)) + asked


def _is_kafka(said: bytes) -> bool:
    return len(said) >= 8 and struct.unpack(">i", said[4:8])[0] == _NUMBER


def _is_amqp(said: bytes) -> bool:
    """True for Connection.Start, or the header of a version that is spoken instead."""
    return said.startswith(b"AMQP") or (said[:3] == b"\1\0\0" and said[7:11] == b"\0\n\0\n")


def _is_reply(said: bytes) -> bool:
    """True for a line of SMTP or FTP: three digits."""
    return len(said) >= 4 and said[:3].isdigit() and said[3:4] in (b" ", b"-")


CONVERSATIONS: Final[Mapping[str, Conversation]] = {
    "redis": Conversation(_always(PING), _begins(b"+", b"-")),
    "postgres": Conversation(_always(SSL_REQUEST), _begins(b"N", b"S")),
    "mysql": Conversation(
        _mysql_login, _is_packet, greets=True, is_whole=_is_packet, farewell=_mysql_end
    ),
    "mongodb": Conversation(_always(_mongodb_hello()), _is_mongodb),
    "kafka": Conversation(_always(_kafka_versions()), _is_kafka),
    "amqp": Conversation(_always(b"AMQP\0\0\x09\x01"), _is_amqp),
    "memcached": Conversation(
        _always(b"version\r\n"), _begins(b"VERSION ", b"ERROR", b"SERVER_ERROR", b"CLIENT_ERROR")
    ),
    "http": Conversation(
        # Kept open, as a client would: a server that ends it at once would seem to hang up.
        _always(b"OPTIONS / HTTP/1.1\r\nHost: gameday\r\nUser-Agent: gameday\r\n\r\n"),
        _begins(b"HTTP/"),
    ),
    "smtp": Conversation(
        _always(b"QUIT\r\n"), _is_reply, greets=True, is_whole=lambda said: said.endswith(b"\n")
    ),
    # Listening only; but whoever turns out to be a MySQL gets its proper end.
    "greeting": Conversation(
        _mysql_login,
        bool,
        greets=True,
        is_whole=lambda said: _is_packet(said) if is_mysql(said) else bool(said),
        farewell=_mysql_end,
    ),
}


def heard(greeting: bytes) -> Protocol:
    """The protocol of a server that spoke first."""
    if is_mysql(greeting):
        return "mysql"
    if greeting.startswith(b"220") and b"SMTP" in greeting.upper():
        return "smtp"
    return "greeting"
