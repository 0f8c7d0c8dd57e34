"""Slicer: everything arrives, in small pieces."""

from collections import deque

from gameday.toxiproxy.toxics.stage import NOT_NEGATIVE, US, Chunk, Outlet, Toxic, ToxicStage


class SlicerToxic(ToxicStage):
    """Cuts chunks into pieces of about `average_size` bytes, `delay` microseconds apart.

    A chunk is halved, the cut moved by up to `size_variation`, until each part is at most
    average + variation. The delay follows every piece, the last one too: the chunk stays in hand,
    with nothing left of it, until that has passed. Average 0 cuts nothing.
    """

    type = "slicer"
    fields = {  # noqa: RUF012
        "average_size": NOT_NEGATIVE,
        "size_variation": NOT_NEGATIVE,
        "delay": NOT_NEGATIVE,
    }

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._cuts: deque[int] = deque()
        self._next_piece_ns = 0

    def due_ns(self, head: Chunk) -> int:
        return self._next_piece_ns

    def let_go(self, now_ns: int) -> None:
        head, delay_ns = self.queue[0], self["delay"] * US
        if head.data:
            if not self._cuts:
                self._cuts.extend(self._slice(len(head.data)))
            size = self._cuts.popleft()
            self.out.put(Chunk(head.data[:size], head.received_ns), now_ns)
            head.data = head.data[size:]
            self._next_piece_ns = now_ns + delay_ns
        if not head.data and self._next_piece_ns <= now_ns:
            self.pass_on(now_ns)

    def pass_on(self, now_ns: int) -> None:
        self._cuts.clear()
        self._next_piece_ns = 0
        if self.queue[0].data:
            super().pass_on(now_ns)
            return
        self.released = self.blocked = False
        self.free_ns = now_ns
        self.queue.popleft()

    def _slice(self, size: int) -> list[int]:
        """The sizes of the pieces that `size` bytes are cut into, none of them 0."""
        average, variation = self["average_size"], self["size_variation"]
        pieces, waiting = [], [size]
        while waiting:
            part = waiting.pop()
            if average == 0 or part <= max(1, average + variation):
                pieces.append(part)
                continue
            left = min(max(1, part // 2 + self.draw_integer(variation)), part - 1)
            waiting += [part - left, left]
        return pieces
