"""Answers and grades as they lie in the result folder, an object each, written as they come.

A record says what it is an answer to (the digest of the request) or a grade of (that of answer and rules); one that is
of something else, because the benchmark's files or the rules changed, is not used. So nothing that was answered is
asked again, and nothing is taken for what it is not.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import sys
import time
import zlib
from array import array
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Problem
from deepcoder_data.store import ObjectMissingError, StoreError
from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.folders import ResultFolder
from deepcoder_evaluation.job import Sampling

ANSWERS, GRADES = "answers", "grades"
WRITERS = 16
WRITE_SECONDS = 900.0
WRITE_PAUSE_SECONDS = 5.0
log = structlog.get_logger("records")
R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnswerRecord(_Record):
    """An answer. `ids` are base64 of little-endian unsigned 32-bit integers."""

    request: str
    benchmark: str
    problem: str
    repeat: int
    sample: int
    seed: int
    prompt: str
    text: str
    finish_reason: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    ids: str | None
    prompt_ids: tuple[int, ...] | None

    @property
    def answer(self) -> Answer:
        """The answer of the record."""
        return Answer(
            text=self.text,
            finish_reason=self.finish_reason,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            seconds=self.seconds,
            ids=None if self.ids is None else _read_ids(self.ids),
            prompt_ids=self.prompt_ids,
        )


class LengthGrade(_Record):
    """The grade at one response limit."""

    tokens: int
    exact: bool
    finish_reason: str
    verdict: Verdict
    test_verdicts: tuple[str, ...]
    detail: str


class GradeRecord(_Record):
    """The grades of one answer, by response limit, ascending. `rules` is the digest of answer, tests and rules."""

    rules: str
    grades: tuple[LengthGrade, ...]


@dataclass(frozen=True)
class Place:
    """Which answer: of a benchmark's problem the `sample`-th of the `repeat`-th time, with its seed."""

    benchmark: str
    problem: Problem
    repeat: int
    sample: int
    seed: int

    def name(self, folder: str) -> str:
        """The record's name. Problems' ids may hold any character, so that they are hashed."""
        digest = hashlib.sha256(self.problem.id.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return f"{folder}/{self.benchmark}/{digest}-{self.repeat:02d}-{self.sample:04d}.json.gz"


def request_digest(prompt: str, sampling: Sampling, seed: int, model: str) -> str:
    """What tells a request from any other. How many more answers are asked for does not matter."""
    shown = {**asdict(sampling), "samples_per_prompt": None, "seed": seed, "prompt": prompt, "model": model}
    return _digest(shown)


def answer_record(place: Place, answer: Answer, request: str) -> AnswerRecord:
    """The record of an answer."""
    return AnswerRecord(
        request=request,
        benchmark=place.benchmark,
        problem=place.problem.id,
        repeat=place.repeat,
        sample=place.sample,
        seed=place.seed,
        prompt=place.problem.prompt,
        text=answer.text,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        answer_tokens=answer.answer_tokens,
        seconds=answer.seconds,
        ids=None if answer.ids is None else _written_ids(answer.ids),
        prompt_ids=answer.prompt_ids,
    )


class Records:
    """The records of one evaluation. What is there already is listed once, by `open`."""

    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder
        self._there: set[str] = set()
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="records")

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def open(self) -> int:
        """List what earlier lives of the evaluation left; how many answers that is. Raises StoreError."""

        def listed() -> set[str]:
            return {name for folder in (ANSWERS, GRADES) for name in self._folder.names(folder)}

        self._there = await self._run(listed)
        return sum(name.startswith(f"{ANSWERS}/") for name in self._there)

    async def answer(self, place: Place, request: str) -> AnswerRecord | None:
        """The answer to this very request, where it is there. Raises StoreError."""
        record = await self._read(place.name(ANSWERS), AnswerRecord)
        if record is None or (record.request == request and record.problem == place.problem.id):
            return record
        log.warning("an answer is to another request and is not used", benchmark=place.benchmark, id=place.problem.id)
        return None

    async def grade(self, place: Place, rules: str) -> GradeRecord | None:
        """The grades of this very answer by these very rules, where they are there. Raises StoreError."""
        record = await self._read(place.name(GRADES), GradeRecord)
        return record if record is not None and record.rules == rules else None

    async def keep(self, place: Place, record: AnswerRecord | GradeRecord) -> None:
        """Write a record. A store that is away is asked again for 15 minutes. Raises StoreError."""
        name = place.name(ANSWERS if isinstance(record, AnswerRecord) else GRADES)

        def write() -> None:
            content = gzip.compress(record.model_dump_json().encode("utf-8", "surrogatepass"), 5, mtime=0)
            self._folder.put(name, content)

        await until_kept(lambda: self._run(write), name)
        self._there.add(name)

    async def _read(self, name: str, kind: type[R]) -> R | None:
        if name not in self._there:
            return None

        def read() -> R | None:
            try:
                return kind.model_validate_json(gzip.decompress(self._folder.get(name)))
            except (ObjectMissingError, ValidationError, gzip.BadGzipFile, EOFError, zlib.error) as error:
                log.warning("a record cannot be read and is made again", name=name, error=str(error)[:300])
                return None

        return await self._run(read)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)


async def until_kept(put: Callable[[], Awaitable[object]], name: str, seconds: float = WRITE_SECONDS) -> None:
    """Do a put; while the store is away, again. Hours of answers lie in it. Raises StoreError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await put()
            return
        except StoreError as error:
            if not error.retryable or time.monotonic() + WRITE_PAUSE_SECONDS > deadline:
                raise
            log.warning("the store does not take a result; asking again", name=name, error=str(error))
        await asyncio.sleep(WRITE_PAUSE_SECONDS)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def rules_digest(answer: AnswerRecord, suite: str, profile: str, extraction: str, limits: str, lengths: object) -> str:
    """What tells the grading of this answer from any other: its text and ids, the tests, the rules, the limits."""
    return _digest([answer.request, answer.text, answer.ids, suite, profile, extraction, limits, lengths])


def _written_ids(ids: array[int]) -> str:
    return base64.b64encode(_little_endian(ids).tobytes()).decode()


def _read_ids(text: str) -> array[int]:
    ids = array("I")
    ids.frombytes(base64.b64decode(text))
    return _little_endian(ids)


def _little_endian(ids: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return ids
    swapped = array("I", ids)
    swapped.byteswap()
    return swapped
