r"""A server that does what it is told, byte for byte: a script for each path.

    with Server({"/audit": stalls(b"HTTP/1.1 200 OK\r\n")}) as server:
        ...  # server.url, server.port, server.asked

Each client has a thread. A script is given the `Peer`, and sends what it likes; when it returns
True the connection stays for another request, otherwise it is closed.
Whatever waits in a script ends with the server.
"""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

LONGEST_S = 60.0
_END = b"\r\n\r\n"


@dataclass(slots=True)
class Peer:
    """One client, and what it has just asked."""

    sock: socket.socket
    ended: threading.Event
    method: str = ""
    path: str = ""
    head: bytes = b""
    body: bytes = b""

    def send(self, raw: bytes) -> None:
        """Send it all. Raises OSError when the client is gone."""
        self.sock.sendall(raw)

    def trickle(self, raw: bytes, every_s: float = 0.05) -> None:
        """Send it byte by byte, until the client is gone or the server ends."""
        for at in range(len(raw)):
            self.send(raw[at : at + 1])
            if self.ended.wait(every_s):
                return

    def flood(self, piece: bytes) -> None:
        """Send the piece again and again, until the client is gone or the server ends."""
        while not self.ended.is_set():
            self.send(piece)

    def hold(self, longest_s: float = LONGEST_S) -> None:
        """Keep the connection open and say nothing."""
        self.ended.wait(longest_s)

    def reset(self) -> None:
        """Break the connection off."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Peer], bool | None]


def answer(body: bytes | str = b"", status: int = 200, *headers: str) -> bytes:
    """A plain whole answer."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join(lines).encode() + _END + raw


def says(body: bytes | str = b"", status: int = 200, *headers: str) -> Script:
    """A script: a plain whole answer, and the connection stays."""
    raw = answer(body, status, *headers)

    def script(peer: Peer) -> bool:
        peer.send(raw)
        return True

    return script


def says_json(value: Any, status: int = 200) -> Script:
    """A script: a plain answer of JSON, as Python writes it (NaN and half surrogates too)."""
    return says(json.dumps(value), status)


def sends(*pieces: bytes) -> Script:
    """A script: these bytes, and then the connection is closed."""

    def script(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)

    return script


def stalls(*pieces: bytes) -> Script:
    """A script: these bytes, and then nothing more."""

    def script(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
        peer.hold()

    return script


def trickles(start: bytes, rest: bytes, every_s: float = 0.05) -> Script:
    """A script: a start at once, the rest byte by byte."""

    def script(peer: Peer) -> None:
        peer.send(start)
        peer.trickle(rest, every_s)

    return script


def floods(start: bytes, piece: bytes) -> Script:
    """A script: a start, and then the same piece for ever."""

    def script(peer: Peer) -> None:
        peer.send(start)
        peer.flood(piece)

    return script


def resets(*pieces: bytes) -> Script:
    """A script: these bytes, and then the connection is broken off."""

    def script(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
        peer.reset()

    return script


def in_turn(scripts: Iterable[Script]) -> Script:
    """A script: one after the other, a request each; the last one for all that come later."""
    waiting = list(scripts)

    def script(peer: Peer) -> bool | None:
        chosen = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return chosen(peer)

    return script


@dataclass(slots=True)
class Server:
    """Listens on a free port of loopback. A path without a script gets what `""` says, or a 404.

    A path is looked up without its query. `asked` has every request: method, path, head, body.
    """

    scripts: Mapping[str, Script]
    context: ssl.SSLContext | None = None
    asked: list[tuple[str, str, bytes, bytes]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _listener: socket.socket = field(default_factory=socket.socket)
    _open: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not end an `accept`
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        self._open.add(sock)
        with contextlib.suppress(OSError, ValueError), sock:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            sock.settimeout(LONGEST_S)
            rest = b""
            while not self._ended.is_set():
                peer = Peer(sock, self._ended)
                rest = _read(peer, rest)
                self.asked.append((peer.method, peer.path, peer.head, peer.body))
                path = peer.path.partition("?")[0]
                script = self.scripts.get(path) or self.scripts.get("") or says("no", 404)
                if not script(peer):
                    break
        sock.close()
        self._open.discard(sock)


def _read(peer: Peer, rest: bytes) -> bytes:
    """Read one request; what came behind it is returned. Raises OSError or ValueError."""
    while _END not in rest:
        more = peer.sock.recv(65536)
        if not more:
            raise OSError("gone")
        rest += more
    peer.head, _, rest = rest.partition(_END)
    peer.method, peer.path = peer.head.split(b"\r\n")[0].decode("latin-1").split(" ")[:2]
    size = 0
    for line in peer.head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            size = int(value)
    while len(rest) < size:
        more = peer.sock.recv(65536)
        if not more:
            raise OSError("gone")
        rest += more
    peer.body = rest[:size]
    return rest[size:]
