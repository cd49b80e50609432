"""The grading server's protocol: verdicts, limits, and the bodies of its requests and answers. No I/O.

PUT  /v1/problems/{hash}   body TestSuite; 201 new, 200 known, 400 when the hash is not that of the body,
                           413 too large, 422 malformed (an empty test list, a malformed test) with the reason
POST /v1/grade             body GradeRequest; 200 GradeResult, 404 unknown problem hash (put it and ask again),
                           422 malformed, 429 with Retry-After (seconds) when the queue is full, 503 while draining
POST /v1/grades            body of at most MAX_BATCH_REQUESTS lines of JSON (NDJSON), a GradeRequest each; 200 and a
                           line of JSON for each, a GradeAnswer, as soon as it is ready and in any order. What
                           /v1/grade would refuse is told of that line alone. 413 too many lines or bytes, 422 no
                           line at all, 503 while draining
GET  /healthz              200 while the process serves
GET  /readyz               200 once the isolation report says verified (or isolation is not required); else 503
GET  /v1/isolation         IsolationReport
GET  /metrics              Prometheus text

Who hangs up takes back what is still queued; a program that runs is run to its end. What was accepted is answered: a
server that ends hands back what it cannot finish as internal_error, and so does one that has not begun a program after
`deadline_seconds`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from deepcoder_api.problems import MAX_TEST_SECONDS, Strict, TestSuite


class Verdict(StrEnum):
    """What became of a program. INTERNAL_ERROR is the grader's own failure and never the model's."""

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong_answer"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    RUNTIME_ERROR = "runtime_error"
    NO_PROGRAM = "no_program"
    INTERNAL_ERROR = "internal_error"


# Which grader's rules: ours, LiveCodeBench's at v5, rLLM's when DeepCoder was released, rLLM's main branch since.
Profile = Literal["strict", "lcb-v5", "rllm-release", "rllm-main"]
MAX_PROGRAM_CHARACTERS = 1024 * 1024
MAX_STDERR_CHARACTERS = 2000
MAX_BATCH_REQUESTS = 1024
MAX_DEADLINE_SECONDS = 24 * 3600.0


class Limits(Strict):
    """What one program may use on one test. CPU time has the bound of the wall clock."""

    timeout_seconds: float = Field(default=6.0, gt=0, le=MAX_TEST_SECONDS)
    memory_mib: int = Field(default=512, ge=32, le=65536)
    output_mib: int = Field(default=4, ge=1, le=64)
    processes: int = Field(default=16, ge=1, le=1024)

    def of_suite(self, suite: TestSuite) -> Limits:
        """What counts for a suite: its own time limit where it states one."""
        if suite.timeout_seconds is None:
            return self
        return self.model_copy(update={"timeout_seconds": suite.timeout_seconds})


class GradeRequest(Strict):
    """One program against one test suite that the server has by hash.

    Of a problem with math tests `program` is the value that is to be compared. `id` comes back with the result.
    `stop_on_first_failure` leaves the tests after it unrun. `deadline_seconds` is how long the caller waits: a program
    that is still queued then is not run, and comes back as internal_error. Of the programs that wait, one of a lower
    `priority` is run first, and of equal ones the first that came.
    """

    id: str = Field(max_length=512)
    problem_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    program: str = Field(max_length=MAX_PROGRAM_CHARACTERS)
    profile: Profile = "strict"
    limits: Limits = Limits()
    stop_on_first_failure: bool = True
    deadline_seconds: float | None = Field(default=None, gt=0, le=MAX_DEADLINE_SECONDS)
    priority: int = Field(default=0, ge=0, lt=2**63)


class TestResult(Strict):
    """The verdict on one test with what it used: seconds of wall clock and CPU, peak MiB of its largest process.

    `detail` is one line for people (the last line of stderr, the limit hit), `stderr` the end of standard error after
    a runtime error, at most MAX_STDERR_CHARACTERS.
    """

    __test__ = False

    verdict: Verdict
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    detail: str = ""
    stderr: str = ""


class GradeResult(Strict):
    """The verdict on a program: that of its first test not accepted, else accepted. Unrun tests are not listed."""

    id: str
    verdict: Verdict
    tests: tuple[TestResult, ...] = ()
    tests_total: int = 0
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """Whether every test passed."""
        return self.verdict is Verdict.ACCEPTED


class GradeAnswer(Strict):
    """What one line of a batch came to: `status` as /v1/grade would have it, `result` at 200, else `error`.

    `line` counts the lines of the body from 1; `id` is None where the line is too malformed to have one.
    `retry_after` is in seconds, where asking again may help.
    """

    line: int
    id: str | None
    status: int
    result: GradeResult | None = None
    error: str | None = None
    retry_after: int | None = None


class IsolationReport(Strict):
    """What the canary program saw from inside. `failures` says, for people, what was not as it must be."""

    verified: bool
    required: bool
    kernel: str = ""
    failures: tuple[str, ...] = ()
