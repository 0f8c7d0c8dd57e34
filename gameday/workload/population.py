"""Which user start k is for, and the key it carries: pure functions, the same in every process.

A user is drawn uniformly from 0 to users - 1 by SplitMix64 (Steele, Lea, Flood: "Fast splittable
pseudorandom number generators", 2014), started from a digest of the seed and the scenario. As
`users` is at most 2^53, taking the remainder favours no user by more than one part in 2,000.
"""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_MASK = 2**64 - 1


@lru_cache(maxsize=256)
def _origin(seed: int, scenario: str) -> int:
    """Where the sequence of one scenario starts."""
    digest = blake2b(f"{seed}/users/{scenario}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def user(seed: int, scenario: str, k: int, users: int) -> int:
    """The user that start `k` of `scenario` is for, from 0 to users - 1."""
    x = (_origin(seed, scenario) + (k + 1) * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * _FIRST) & _MASK
    x = ((x ^ (x >> 27)) * _SECOND) & _MASK
    return (x ^ (x >> 31)) % users


def users_of(
    seed: int, scenario: str, ks: npt.NDArray[np.int64], users: int
) -> npt.NDArray[np.int64]:
    """`user` of many starts at once."""
    x = np.uint64(_origin(seed, scenario)) + (ks.astype(np.uint64) + np.uint64(1)) * np.uint64(
        _GOLDEN
    )
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    x ^= x >> np.uint64(31)
    return (x % np.uint64(users)).astype(np.int64)


def key(run: str, scenario: str, k: int) -> str:
    """The idempotency key of start `k`: the same for every attempt of it, in no other start."""
    return f"{run}-{scenario}-{k}"
