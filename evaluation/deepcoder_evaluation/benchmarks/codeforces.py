"""Codeforces: problems of past contests, scored by the rating that the answers would have had (codeforces_rating).

Problems are in the project's own schema. Their `metadata` name `contest` and `index`, or their id ends in both, such as
1971A. Standings and old ratings are data: JSON lines with what the Codeforces API says of a contest
(contest.standings and contest.ratingChanges); so are the ratings of all users, for the percentile.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.evaluation_report import RatingReport
from deepcoder_api.grading import Profile
from deepcoder_api.problems import Problem
from deepcoder_data.readers import BadRow, read_rows
from deepcoder_data.source_files import local_files
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.answers import Outcome
from deepcoder_evaluation.benchmarks.kind import RULES, BenchmarkKind
from deepcoder_evaluation.codeforces_rating import Contest, ContestRating, Participant, contest_rating, percentile

_PLACE = re.compile(r"(?:^|/)(\d+)([A-Z]\d*)$")
_USERS = TypeAdapter(dict[int, int])


class _Api(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Member(_Api):
    handle: str


class _Party(_Api):
    members: list[_Member] = Field(min_length=1)


class _Row(_Api):
    party: _Party
    points: float
    penalty: float = 0.0


class _Problem(_Api):
    index: str
    points: float | None = None


class _Contest(_Api):
    id: int


class _Standings(_Api):
    contest: _Contest
    problems: list[_Problem]
    rows: list[_Row]


class _Change(_Api):
    handle: str
    oldRating: int  # noqa: N815 - the API's name


class ContestRow(_Api):
    """A line of the standings file."""

    standings: _Standings
    ratingChanges: list[_Change]  # noqa: N815 - the API's name


@dataclass(frozen=True)
class CodeforcesContext:
    """Contests by their id, users by their rating, and where each problem stands: contest and index by problem id."""

    contests: dict[str, Contest]
    users: dict[int, int]
    places: dict[str, tuple[str, str]]


def contest_of(row: ContestRow) -> Contest:
    """The contest with those who were rated in it; who is only in the standings or only in the changes is left out."""
    old = {change.handle: change.oldRating for change in row.ratingChanges}
    participants = tuple(
        Participant(one.points, one.penalty, old[one.party.members[0].handle])
        for one in row.standings.rows
        if one.party.members[0].handle in old
    )
    points = {problem.index: problem.points for problem in row.standings.problems}
    return Contest(str(row.standings.contest.id), points, participants)


def place_of(problem: Problem) -> tuple[str, str]:
    """Contest and index of a problem. Raises ValueError when it names none."""
    contest, index = problem.metadata.get("contest"), problem.metadata.get("index")
    if contest and index:
        return contest, index
    found = _PLACE.search(problem.id)
    if found is None:
        raise ValueError(
            f"problem {problem.id!r} names no contest: metadata needs contest and index, or the id ends in both (1971A)"
        )
    return found[1], found[2]


class Codeforces(BenchmarkKind):
    """The samples of a problem are its submissions, in their order; the first that is accepted counts."""

    name = "codeforces"

    def extraction(self, profile: Profile) -> str:
        return RULES[profile]

    def settings(self, benchmark: Benchmark) -> dict[str, str]:
        return {"standings": str(benchmark.standings_uri), "ratings": str(benchmark.ratings_uri)}

    def context(self, benchmark: Benchmark, problems: Sequence[Problem], store: ObjectStore) -> CodeforcesContext:
        assert benchmark.standings_uri is not None
        assert benchmark.ratings_uri is not None
        contests = {one.id: one for one in _read_contests(store, benchmark.standings_uri)}
        places = {problem.id: place_of(problem) for problem in problems}
        twice = [place for place, count in Counter(places.values()).items() if count > 1]
        if twice:
            raise ValueError(f"{benchmark.uri}: {''.join(twice[0])} is there twice; a problem of a contest counts once")
        return CodeforcesContext(contests, _read_users(store, benchmark.ratings_uri), places)

    def rating(self, benchmark: Benchmark, context: Any, outcomes: Sequence[Outcome]) -> RatingReport:
        assert isinstance(context, CodeforcesContext)
        assert benchmark.tests is not None
        repeats = sorted({one.repeat for one in outcomes})
        most = benchmark.max_submissions or max(one.sample for one in outcomes) + 1
        by_repeat = [contest_ratings(context, [o for o in outcomes if o.repeat == repeat], most) for repeat in repeats]
        means = [
            fmean(one.rating for one in contests if one.rating is not None)
            for contests in by_repeat
            if any(one.rating is not None for one in contests)
        ]
        rating = fmean(means) if means else None
        return RatingReport(
            rating=rating,
            percentile=None if rating is None else percentile(rating, context.users),
            tests=benchmark.tests,
            submissions=most,
            contests=by_repeat[0],
        )


def contest_ratings(
    context: CodeforcesContext, outcomes: Sequence[Outcome], submissions: int
) -> tuple[ContestRating, ...]:
    """The rating in each contest that has an answered problem, by the contest's number."""
    tries: dict[str, dict[str, list[bool]]] = {}
    for one in sorted(outcomes, key=lambda o: o.sample):
        contest, index = context.places[one.problem]
        given = tries.setdefault(contest, {}).setdefault(index, [])
        if len(given) < submissions:
            given.append(one.accepted)
    ordered = sorted(tries, key=lambda id: (len(id), id))
    return tuple(contest_rating(context.contests.get(id), id, tries[id]) for id in ordered)


def _read_contests(store: ObjectStore, uri: str) -> Iterator[Contest]:
    with local_files(store, uri) as files:
        for file in files:
            for number, row in read_rows(file.path, uri):
                if isinstance(row, BadRow):
                    raise ValueError(f"{uri}: line {number}: {row.reason}")
                try:
                    yield contest_of(ContestRow.model_validate_json(row))
                except ValidationError as error:
                    first = error.errors(include_url=False)[0]
                    place = ".".join(map(str, first["loc"]))
                    raise ValueError(f"{uri}: line {number}: {place}: {first['msg']}") from error


def _read_users(store: ObjectStore, uri: str) -> dict[int, int]:
    with local_files(store, uri) as files:
        text = files[0].path.read_text()
    try:
        users = _USERS.validate_python(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise ValueError(f"{uri}: must be a JSON object of ratings to numbers of users: {error}") from error
    if not sum(users.values()):
        raise ValueError(f"{uri}: has no users")
    return users


KIND = Codeforces()
