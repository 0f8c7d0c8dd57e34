"""Every random choice of the server: a pure function of (seed, purpose, index).

No generator is kept or shared, so what one connection draws never depends on when another one
drew. The same seed and the same order of connections give the same run again.
"""

from hashlib import blake2b


def draw(seed: int, purpose: str, index: int) -> float:
    """A number in [0, 1), uniform over purposes and indexes."""
    digest = blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=7).digest()
    return (int.from_bytes(digest) >> 3) / (1 << 53)


def draw_integer(seed: int, purpose: str, index: int, spread: int) -> int:
    """A whole number in [-spread, spread), 0 when there is no spread."""
    if spread <= 0:
        return 0
    return int(draw(seed, purpose, index) * 2 * spread) - spread
