"""Contest problems and their solutions with numpy; rules as in plain_tasks."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np


def primes_in_range(n: int, low: int) -> int:
    sieve = np.ones(n + 1, dtype=bool)
    sieve[:2] = False
    for p in range(2, int(n**0.5) + 1):
        if sieve[p]:
            sieve[p * p :: p] = False
    answer = int(sieve[low:].sum())
    return answer


def paths_of_length(n: int, steps: int, edges: list[list[int]]) -> int:
    one = np.zeros((n, n), dtype=np.int64)
    for a, b in edges:
        one[a, b] += 1
    total = np.eye(n, dtype=np.int64)
    while steps:
        if steps & 1:
            total = total @ one % 1000003
        one = one @ one % 1000003
        steps >>= 1
    answer = int(total.sum() % 1000003)
    return answer


def best_subarray(n: int, values: list[int]) -> int:
    sums = np.concatenate(([0], np.cumsum(np.array(values, dtype=np.int64))))
    lowest = np.minimum.accumulate(sums)
    answer = max(0, int((sums[1:] - lowest[:-1]).max()))
    return answer


def close_pairs(n: int, radius: int, points: list[list[int]]) -> int:
    places = np.array(points, dtype=np.int64)
    difference = places[:, None, :] - places[None, :, :]
    near = (difference**2).sum(axis=2) <= radius * radius
    answer = int((near.sum() - n) // 2)
    return answer


def game_of_life(n: int, steps: int, field: list[str]) -> int:
    alive = np.array([[letter == "#" for letter in row] for row in field], dtype=np.int8)
    for _ in range(steps):
        padded = np.pad(alive, 1)
        around = np.zeros_like(alive)
        for i in range(3):
            for j in range(3):
                if (i, j) != (1, 1):
                    around += padded[i : i + alive.shape[0], j : j + alive.shape[1]]
        alive = ((around == 3) | ((alive == 1) & (around == 2))).astype(np.int8)
    answer = int(alive.sum())
    return answer


def most_common_value(n: int, values: list[int]) -> list[int]:
    counts = np.bincount(np.array(values))
    value = int(np.argmax(counts))
    answer = [value, int(counts[value])]
    return answer


def compressed_ranks(n: int, values: list[int]) -> list[int]:
    _, inverse = np.unique(np.array(values), return_inverse=True)
    answer = [int(rank) + 1 for rank in inverse]
    return answer


def product_of_polynomials(n: int, first: list[int], second: list[int]) -> list[int]:
    product = np.convolve(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))
    answer = product.tolist()
    return answer


def _numbers(random: Random, n: int, low: int, high: int) -> list[int]:
    return [random.randint(low, high) for _ in range(n)]


def _pairs(random: Random, n: int, count: int, high: int) -> list[list[int]]:
    return [_numbers(random, n, 0, high) for _ in range(count)]


# A solution, the smallest and largest size of a test, and what makes the arguments after the size.
NUMPY: tuple[tuple[Any, int, int, Any], ...] = (
    (primes_in_range, 1000, 500000, lambda r, n: [r.randint(0, n)]),
    (paths_of_length, 3, 110, lambda r, n: [r.randint(1, 200), _pairs(r, 2, 2 * n, n - 1)]),
    (best_subarray, 20, 2500, lambda r, n: [_numbers(r, n, -50, 50)]),
    (close_pairs, 5, 250, lambda r, n: [r.randint(5, 40), _pairs(r, 2, n, 200)]),
    (game_of_life, 3, 110, lambda r, n: [r.randint(2, 12), ["".join(r.choices("..#", k=n)) for _ in range(n)]]),
    (most_common_value, 20, 2500, lambda r, n: [_numbers(r, n, 0, 300)]),
    (compressed_ranks, 20, 2500, lambda r, n: [_numbers(r, n, 0, 10**6)]),
    (product_of_polynomials, 10, 600, lambda r, n: [_numbers(r, n, -9, 9), _numbers(r, n, -9, 9)]),
)
