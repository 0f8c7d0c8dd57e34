"""What the wire saw of a load generator: the latencies that it should have told.

A process of its own, asked for nothing, listens on the loopback interface (a packet socket) and
keeps the kernel's receive stamp of each request and each answer of one server. The kernel makes
the stamps, so it does not matter when this process comes to read them; it runs at the lowest
priority. Nothing of gameday and nothing of the tool is in the way.

Request number k of an even schedule was due k / rate after the first: the start of the schedule is
where no request was sent before it was due. A latency is the answer's stamp less that instant. This
is arithmetic with what happened in the very shot that the tool tells of, so it does not matter how
fast the server was, or what the machine did meanwhile. It needs the right to open packet sockets.
"""

import ctypes
import multiprocessing
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NS: Final = 1_000_000_000
SHARES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "max": 100.0}

# Of linux/if_packet.h, asm/socket.h and linux/if_ether.h.
_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_BUFFER_BYTES = 256 * 1024 * 1024
# An IPv4 header is 20 bytes, a TCP header 20 to 32: what is longer than this carries something.
_BARE_BYTES = 80
_HEAD = struct.Struct("!20xHH")
_STAMP = struct.Struct("@qq")
_READ_EVERY_S = 0.02


@dataclass(slots=True)
class Seen:
    """Requests in the order of sending; `answered_ns` is 0 where no answer was seen."""

    sent_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    answered_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    lost: int = 0  # packets that did not fit the socket

    def latencies_ms(self, rate_per_s: float) -> NDArray[np.float64]:
        """From the instants the requests were due at; of those that were answered."""
        after_ns = np.arange(len(self.sent_ns)) * (NS / rate_per_s)
        begin_ns = int(self.sent_ns[0])
        due_ns = after_ns + (self.sent_ns - begin_ns - after_ns).min()
        took_ms = (self.answered_ns - begin_ns - due_ns) / 1e6
        return np.asarray(took_ms[self.answered_ns > 0], np.float64)

    def truth(self, rate_per_s: float, length_s: float) -> dict[str, float] | None:
        """The percentiles, or None where the tool did not keep the schedule, or stamps are lost."""
        expected = round(rate_per_s * length_s)
        # Tools differ by one at the end. What was dropped before it would shift all that follows.
        if self.lost or abs(len(self.sent_ns) - expected) > 2:
            return None
        found = np.percentile(self.latencies_ms(rate_per_s), [*SHARES.values()])
        return dict(zip(SHARES, (float(one) for one in found), strict=True))

    def stop(self) -> tuple[float, float]:
        """The longest time without an answer, in s; how many a second until all were through."""
        came_ns = np.sort(self.answered_ns[self.answered_ns > 0])
        if len(came_ns) < 2:
            return float("nan"), float("nan")
        gaps = np.diff(came_ns)
        longest = int(gaps.argmax())
        stopped_ns, again_ns = came_ns[longest], came_ns[longest + 1]
        waited = (self.sent_ns > stopped_ns) & (self.sent_ns < again_ns) & (self.answered_ns > 0)
        if not waited.any():
            return float(gaps.max()) / NS, float("nan")
        through_ns = self.answered_ns[waited].max()
        count = int(((came_ns >= again_ns) & (came_ns <= through_ns)).sum())
        return float(gaps.max()) / NS, count * NS / max(int(through_ns - again_ns), 1)


def may() -> bool:
    """Whether packet sockets may be opened here."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def witnessed(port: int) -> Iterator[Seen]:
    """What passes to and from the port, in the result afterwards."""
    seen = Seen()
    if not may():
        seen.lost = 1
        yield seen
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_witness, args=(port, theirs))
    process.start()
    try:
        if not ours.poll(20) or ours.recv() != "listening":
            raise OSError("the witness does not listen")
        yield seen
    finally:
        ours.send("stop")
        if ours.poll(30):
            rows, seen.lost = ours.recv()
            seen.sent_ns, seen.answered_ns = paired(rows, port)
        else:
            seen.lost = 1
            process.kill()
        process.join(5)


def paired(
    rows: Sequence[tuple[int, int, int]], port: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When each request was sent and answered; rows are stamp, source port, destination port."""
    sent: list[int] = []
    answered: list[int] = []
    open_at: dict[int, int] = {}
    for stamp_ns, source, destination in sorted(rows):
        if destination == port:
            open_at[source] = len(sent)
            sent.append(stamp_ns)
            answered.append(0)
        elif source == port and destination in open_at:
            answered[open_at.pop(destination)] = stamp_ns
    return np.array(sent, np.int64), np.array(answered, np.int64)


def _witness(port: int, pipe: Connection) -> None:
    os.nice(19)
    rows: list[tuple[int, int, int]] = []
    with _packets(port) as packets:
        pipe.send("listening")
        while not pipe.poll(_READ_EVERY_S):
            _read(packets, rows)
        # What was underway when the word came is in the socket by now.
        select.select([packets], [], [], _READ_EVERY_S)
        _read(packets, rows)
        told = packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        pipe.send((rows, struct.unpack("@II", told)[1]))


def _packets(port: int) -> socket.socket:
    """A packet socket that hears whole pieces to and from one port of this host."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    code, kept = _filter(port)
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, code)
    del kept
    packets.bind(("lo", _ETH_P_IP))
    packets.settimeout(0)
    return packets


def _filter(port: int) -> tuple[bytes, Any]:
    """A classic BPF program, and the memory it points to: keep that until it is attached."""
    load_half, if_greater, if_equal, give = 0x28, 0x25, 0x15, 0x06
    steps = [
        (load_half, 0, 0, 2),  # the length of the whole
        (if_greater, 0, 5, _BARE_BYTES),
        (load_half, 0, 0, 20),  # the source's port
        (if_equal, 2, 0, port),
        (load_half, 0, 0, 22),  # the destination's
        (if_equal, 0, 1, port),
        (give, 0, 0, 64),
        (give, 0, 0, 0),
    ]
    memory = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *one) for one in steps))
    return struct.pack("@HxxxxxxQ", len(steps), ctypes.addressof(memory)), memory


def _read(packets: socket.socket, rows: list[tuple[int, int, int]]) -> None:
    while True:
        try:
            head, told, _, _ = packets.recvmsg(64, 64)
        except BlockingIOError:
            return
        for _, kind, stamp in told:
            if kind == _SO_TIMESTAMPNS and len(head) >= _HEAD.size:
                seconds, ns = _STAMP.unpack(stamp[: _STAMP.size])
                source, destination = _HEAD.unpack_from(head)
                rows.append((seconds * NS + ns, source, destination))
