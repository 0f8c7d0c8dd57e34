"""Which user start k is for, and the key it carries: pure functions, the same in every process.

Random numbers come from SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
generators", 2014), started from a digest of the seed, the purpose and the scenario. As `users` is
at most 2^53, taking the remainder favours no user by more than one part in 2,000.

`uniform` draws every user alike. `once` walks through all users in a random order, a permutation
made of four Feistel rounds (Luby, Rackoff: "How to construct pseudorandom permutations", 1988).
`zipf` makes user n + 1 ask (n + 1)^-z times as often as the first, by rejection-inversion
(Hörmann, Derflinger, 1996). Of `bots`, the first few users make a set share of the starts. `same`
lets so many starts in a row be one user's.
"""

from functools import lru_cache
from hashlib import blake2b
from math import isqrt

import numpy as np
import numpy.typing as npt

from gameday.traffic.schedule import zipf
from gameday.traffic.schedule.scenario import Population

# The increment and the multipliers of SplitMix64 (Steele, Lea and Flood 2014).
GOLDEN = 0x9E3779B97F4A7C15
_GOLDEN = np.uint64(GOLDEN)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHARE_BITS = 53  # a double's mantissa
_ROUNDS = 4  # of a Feistel network: four make it look random (Luby and Rackoff)

_UNIFORM = Population()
Users = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]


@lru_cache(maxsize=256)
def _origin(seed: int, purpose: str, scenario: str) -> np.uint64:
    """The first state of one scenario's random sequence."""
    digest = blake2b(f"{seed}/{purpose}/{scenario}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def mixed(x: _Words) -> _Words:
    """SplitMix64's output function."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def _drawn(origin: np.uint64, ks: Users) -> _Words:
    """The random words of those places of a sequence."""
    return mixed(origin + (ks.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def user(seed: int, scenario: str, k: int, users: int, population: Population = _UNIFORM) -> int:
    """The user that start `k` of `scenario` is for, from 0 to users - 1."""
    return int(users_of(seed, scenario, np.array([k], dtype=np.int64), users, population)[0])


def users_of(
    seed: int, scenario: str, ks: Users, users: int, population: Population = _UNIFORM
) -> Users:
    """`user` of many starts at once."""
    match population.kind:
        case "uniform":
            return _below(_drawn(_origin(seed, "users", scenario), ks), users)
        case "once":
            return _permuted(_origin(seed, "once", scenario), ks, users)
        case "zipf":
            origin = _origin(seed, "zipf", scenario)
            return zipf.ranks(lambda ns: _drawn(origin, ns), ks, users, population.zipf) - 1
        case "bots":
            return _some_often(seed, scenario, ks, users, population)
        case "same":
            words = _drawn(_origin(seed, "same", scenario), ks // population.same)
            return _below(words, users)


def _below(words: _Words, users: int) -> Users:
    return (words % np.uint64(users)).astype(np.int64)


def _some_often(seed: int, scenario: str, ks: Users, users: int, population: Population) -> Users:
    """The first `bots` users make `share` of the starts, the others the rest."""
    bots = population.bots
    limit = np.uint64(round(population.share * 2**_SHARE_BITS))
    coins = _drawn(_origin(seed, "share", scenario), ks) >> np.uint64(64 - _SHARE_BITS)
    words = _drawn(_origin(seed, "bots", scenario), ks)
    others = bots + _below(words, max(users - bots, 1))
    return np.where(coins < limit, _below(words, bots), np.minimum(others, users - 1))


def _permuted(origin: np.uint64, ks: Users, users: int) -> Users:
    """Place `k` (after the last, again from the first) of a random order of all users.

    The rounds shuffle a grid that is hardly larger than the number of users. What falls beyond
    the users goes through them again, and so on the way of a permutation that never leaves them.
    """
    rows = np.uint64(isqrt(users - 1) + 1)
    columns = np.uint64(-(-users // int(rows)))
    at = (ks % users).astype(np.uint64)
    astray = np.ones(len(at), dtype=bool)
    while astray.any():
        at[astray] = _shuffled(origin, at[astray], rows, columns)
        astray = at >= np.uint64(users)
    return at.astype(np.int64)


def _shuffled(origin: np.uint64, at: _Words, rows: np.uint64, columns: np.uint64) -> _Words:
    row, column = at // columns, at % columns
    for turn in range(_ROUNDS):
        salt = np.uint64((int(origin) + turn * int(_SECOND)) % 2**64)
        if turn % 2:
            column = (column + mixed(salt ^ (row * _GOLDEN)) % columns) % columns
        else:
            row = (row + mixed(salt ^ (column * _GOLDEN)) % rows) % rows
    return row * columns + column


def key(run: str, scenario: str, k: int) -> str:
    """The idempotency key of start `k`: the same for every attempt of it, in no other start."""
    return f"{run}-{scenario}-{k}"


def attempt(run: str, scenario: str, k: int, number: int = 1) -> str:
    """The name of one attempt of start `k`, `number` counting from 1: never the same twice."""
    return f"{key(run, scenario, k)}-{number}"
