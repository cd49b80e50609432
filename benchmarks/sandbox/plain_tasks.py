"""Contest problems and their solutions in plain Python: the functions' own text is what programs are made of.

Each solution ends with `return answer`, takes its problem's size `n` first, and never answers -1. Beside it stands
what makes the other arguments of a test of size n.
"""

from __future__ import annotations

import heapq
import string
from bisect import bisect_left
from collections import defaultdict, deque
from random import Random
from typing import Any


def rank_scores(n: int, scores: list[int]) -> list[int]:
    best = sorted(set(scores), reverse=True)
    place = {score: i + 1 for i, score in enumerate(best)}
    answer = [place[score] for score in scores]
    return answer


def count_primes(n: int) -> int:
    sieve = bytearray([1]) * (n + 1)
    sieve[0] = sieve[1] = 0
    p = 2
    while p * p <= n:
        if sieve[p]:
            for multiple in range(p * p, n + 1, p):
                sieve[multiple] = 0
        p += 1
    answer = sum(sieve)
    return answer


def longest_common_subsequence(n: int, first: str, second: str) -> int:
    previous = [0] * (len(second) + 1)
    for a in first:
        current = [0]
        for j, b in enumerate(second):
            if a == b:
                current.append(previous[j] + 1)
            else:
                current.append(max(previous[j + 1], current[j]))
        previous = current
    answer = previous[-1]
    return answer


def shortest_way(n: int, grid: list[str]) -> int:
    width = len(grid[0])
    far = n * width
    seen = [[far] * width for _ in range(n)]
    seen[0][0] = 0
    queue = deque([(0, 0)])
    while queue:
        row, column = queue.popleft()
        for r, c in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if 0 <= r < n and 0 <= c < width and grid[r][c] == "." and seen[r][c] == far:
                seen[r][c] = seen[row][column] + 1
                queue.append((r, c))
    answer = seen[n - 1][width - 1]
    return answer


def largest_anagram_group(n: int, words: list[str]) -> int:
    groups = defaultdict(int)
    for word in words:
        groups["".join(sorted(word))] += 1
    answer = max(groups.values())
    return answer


def most_meetings(n: int, meetings: list[list[int]]) -> int:
    end = -1
    answer = 0
    for start, stop in sorted(meetings, key=lambda meeting: meeting[1]):
        if start >= end:
            answer += 1
            end = stop
    return answer


def sum_of_powers(n: int, base: int) -> int:
    modulus = 998244353
    answer = 0
    for exponent in range(1, n + 1):
        answer = (answer + pow(base, exponent, modulus) * exponent) % modulus
    return answer


def knapsack(n: int, capacity: int, items: list[list[int]]) -> int:
    best = [0] * (capacity + 1)
    for weight, value in items:
        for room in range(capacity, weight - 1, -1):
            candidate = best[room - weight] + value
            if candidate > best[room]:
                best[room] = candidate
    answer = best[capacity]
    return answer


def cheapest_routes(n: int, roads: list[list[int]]) -> list[int]:
    neighbours = [[] for _ in range(n)]
    for a, b, cost in roads:
        neighbours[a].append((b, cost))
        neighbours[b].append((a, cost))
    far = 10**9
    answer = [far] * n
    answer[0] = 0
    heap = [(0, 0)]
    while heap:
        cost, town = heapq.heappop(heap)
        if cost > answer[town]:
            continue
        for other, extra in neighbours[town]:
            if cost + extra < answer[other]:
                answer[other] = cost + extra
                heapq.heappush(heap, (cost + extra, other))
    return answer


def count_circles(n: int, friends: list[list[int]]) -> int:
    parent = list(range(n))

    def find(a):
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        return a

    answer = n
    for a, b in friends:
        a, b = find(a), find(b)
        if a != b:
            parent[a] = b
            answer -= 1
    return answer


def longest_palindrome(n: int, text: str) -> int:
    answer = 1
    for centre in range(n):
        for left, right in ((centre, centre), (centre, centre + 1)):
            while left >= 0 and right < n and text[left] == text[right]:
                left -= 1
                right += 1
            answer = max(answer, right - left - 1)
    return answer


def longest_increasing(n: int, values: list[int]) -> int:
    tails = []
    for value in values:
        place = bisect_left(tails, value)
        if place == len(tails):
            tails.append(value)
        else:
            tails[place] = value
    answer = len(tails)
    return answer


def subarrays_with_sum(n: int, target: int, values: list[int]) -> int:
    seen = defaultdict(int)
    seen[0] = 1
    total = answer = 0
    for value in values:
        total += value
        answer += seen[total - target]
        seen[total] += 1
    return answer


def ways_to_change(n: int, coins: list[int]) -> int:
    ways = [1] + [0] * n
    for coin in coins:
        for amount in range(coin, n + 1):
            ways[amount] = (ways[amount] + ways[amount - coin]) % 1000000007
    answer = ways[n]
    return answer


def balance_brackets(n: int, text: str) -> str:
    stack = []
    keep = [True] * len(text)
    for i, letter in enumerate(text):
        if letter == "(":
            stack.append(i)
        elif letter == ")":
            if stack:
                stack.pop()
            else:
                keep[i] = False
    for i in stack:
        keep[i] = False
    answer = "".join(letter for i, letter in enumerate(text) if keep[i]) or "none"
    return answer


def order_of_courses(n: int, needs: list[list[int]]) -> list[int]:
    follow = [[] for _ in range(n)]
    waits = [0] * n
    for before, after in needs:
        follow[before].append(after)
        waits[after] += 1
    ready = [course for course in range(n) if not waits[course]]
    heapq.heapify(ready)
    answer = []
    while ready:
        course = heapq.heappop(ready)
        answer.append(course)
        for after in follow[course]:
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(ready, after)
    return answer


def _numbers(random: Random, n: int, low: int, high: int) -> list[int]:
    return [random.randint(low, high) for _ in range(n)]


def _text(random: Random, n: int, letters: str) -> str:
    return "".join(random.choices(letters, k=n))


def _meetings(random: Random, n: int) -> list[list[int]]:
    starts = _numbers(random, n, 0, 10 * n)
    return [[start, start + random.randint(1, 40)] for start in starts]


def _roads(random: Random, n: int) -> list[list[int]]:
    tree = [[random.randrange(town), town, random.randint(1, 99)] for town in range(1, n)]
    more = [[random.randrange(n), random.randrange(n), random.randint(1, 99)] for _ in range(n)]
    return tree + more


def _courses(random: Random, n: int) -> list[list[int]]:
    return [sorted(random.sample(range(n), 2)) for _ in range(2 * n)]


# A solution, the smallest and largest size of a test, and what makes the arguments after the size.
PLAIN: tuple[tuple[Any, int, int, Any], ...] = (
    (rank_scores, 20, 1500, lambda r, n: [_numbers(r, n, 0, n)]),
    (count_primes, 500, 60000, lambda r, n: []),
    (longest_common_subsequence, 5, 250, lambda r, n: [_text(r, n, "abcd"), _text(r, n, "abcd")]),
    (shortest_way, 4, 300, lambda r, n: [["." + _text(r, 19, "....#") for _ in range(n)]]),
    (largest_anagram_group, 10, 1200, lambda r, n: [[_text(r, r.randint(2, 5), "abcde") for _ in range(n)]]),
    (most_meetings, 10, 1500, lambda r, n: [_meetings(r, n)]),
    (sum_of_powers, 50, 8000, lambda r, n: [r.randint(2, 10**9)]),
    (knapsack, 3, 150, lambda r, n: [10 * n + 7, [_numbers(r, 2, 1, 100) for _ in range(min(n, 40))]]),
    (cheapest_routes, 5, 700, lambda r, n: [_roads(r, n)]),
    (count_circles, 10, 1500, lambda r, n: [[_numbers(r, 2, 0, n - 1) for _ in range(n)]]),
    (longest_palindrome, 10, 3000, lambda r, n: [_text(r, n, "ab")]),
    (longest_increasing, 20, 2500, lambda r, n: [_numbers(r, n, 0, 10**6)]),
    (subarrays_with_sum, 20, 2500, lambda r, n: [r.randint(1, 30), _numbers(r, n, -9, 20)]),
    (ways_to_change, 100, 9000, lambda r, n: [r.sample((1, 2, 5, 7, 10, 20, 25, 50, 100), 5)]),
    (balance_brackets, 20, 4000, lambda r, n: [_text(r, n, "()" + string.ascii_lowercase[:2])]),
    (order_of_courses, 5, 700, lambda r, n: [_courses(r, n)]),
)
