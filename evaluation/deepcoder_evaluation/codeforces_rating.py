"""A Codeforces rating from submissions to past contests, as CodeElo computes it. Pure functions.

Source: QwenLM/CodeElo, calc_rating.py (arXiv:2501.01257), and its copy in rLLM that DeepCoder was measured with. In
each contest the model gets a score and a penalty, by them a rank among those who were rated, and the rating at which
the expected rank is that one. Contests with at most 200 rated participants do not count. The rating is the mean.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepcoder_api.evaluation_report import ContestRating

FEWEST_RATED = 200
POINTS_LOST_A_TRY = 50.0
PENALTY_A_TRY = 10.0
ABOVE_HIGHEST = 100


@dataclass(frozen=True)
class Participant:
    """A rated participant: what they had at the end, and their rating before the contest."""

    points: float
    penalty: float
    old_rating: int


@dataclass(frozen=True)
class Contest:
    """A contest: its problems' points by index, None where each solved problem is one, and who was rated in it."""

    id: str
    points: Mapping[str, float | None]
    participants: tuple[Participant, ...]


def contest_rating(contest: Contest | None, id: str, submissions: Mapping[str, Sequence[bool]]) -> ContestRating:
    """The rating in one contest. `submissions` are, by a problem's index, whether each try was accepted, in order."""
    solved = sum(any(tries) for tries in submissions.values())
    if contest is None:
        return _skipped(id, submissions, solved, 0, "there are no standings of it")
    count = len(contest.participants)
    if count <= FEWEST_RATED:
        return _skipped(id, submissions, solved, count, f"it has {count} rated participants; more than 200 are needed")
    unknown = sorted(set(submissions) - set(contest.points))
    if unknown:
        return _skipped(id, submissions, solved, count, f"its standings have no problem {unknown[0]}")
    score, penalty = _score(contest, submissions)
    rank = sum(not _is_behind(one, score, penalty) for one in contest.participants)
    return ContestRating(
        contest=id,
        problems=len(submissions),
        solved=solved,
        score=score,
        penalty=penalty,
        rank=rank,
        participants=count,
        rating=rating_of_rank(rank, Counter(one.old_rating for one in contest.participants)),
        skipped=None,
    )


def rating_of_rank(rank: int, old_ratings: Counter[int]) -> int:
    """The largest whole rating, 0 to the highest + 99, whose expected rank 1 + sum 1/(1+10^((r-old)/400)) >= `rank`.

    0 when none is.
    """
    low, high = 0, max(old_ratings) + ABOVE_HIGHEST
    while high - low > 1:
        middle = (low + high) // 2
        if expected_rank(middle, old_ratings) < rank:
            high = middle
        else:
            low = middle
    return low


def expected_rank(rating: float, old_ratings: Counter[int]) -> float:
    """1 + the chances of each participant to come before somebody with this rating."""
    return 1.0 + sum(count / (1.0 + 10.0 ** ((rating - old) / 400.0)) for old, count in old_ratings.items())


def percentile(rating: float, users: Mapping[int, int]) -> float:
    """Share of users with a lower rating, in percent, to one decimal. `users` counts them by rating.

    Raises ValueError without users.
    """
    ratings = sorted(users)
    total = sum(users.values())
    if not total:
        raise ValueError("ratings: there are no users, so that nothing is a share of them")
    below = sum(users[one] for one in ratings[: bisect_left(ratings, rating)])
    return round(100.0 * below / total, 1)


def _score(contest: Contest, submissions: Mapping[str, Sequence[bool]]) -> tuple[float, float]:
    """Points and penalty: where problems have points 50 are lost a failed try, else 10 are added to the penalty."""
    score = penalty = 0.0
    for index, tries in submissions.items():
        if True not in tries:
            continue
        failed = list(tries).index(True)
        points = contest.points[index]
        if points is None:
            score += 1
            penalty += PENALTY_A_TRY * failed
        else:
            score += max(0.0, points - POINTS_LOST_A_TRY * failed)
    return score, penalty


def _is_behind(one: Participant, score: float, penalty: float) -> bool:
    return one.points < score or (one.points == score and one.penalty > penalty)


def _skipped(
    id: str, submissions: Mapping[str, Sequence[bool]], solved: int, participants: int, why: str
) -> ContestRating:
    return ContestRating(
        contest=id,
        problems=len(submissions),
        solved=solved,
        score=0.0,
        penalty=0.0,
        rank=None,
        participants=participants,
        rating=None,
        skipped=why,
    )
