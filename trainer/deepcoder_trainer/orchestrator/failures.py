"""What ends the orchestrator before its work is done, and whether another attempt may do better.

OrchestratorError
├── Retryable
│   ├── NoRollout          no server held the current weights before the deadline
│   ├── GenerationFailed   servers answered, but none gave a sound sample
│   ├── GradingFailed      an answer was not graded before the deadline
│   ├── RanksFailed        a rank gave up, or did not do its part before the deadline
│   ├── StorageFailed      the bucket did not take or give what it must
│   └── Stopped            somebody asked for the end (SIGTERM)
└── Permanent
    ├── TakenOver          a newer attempt has claimed the run
    ├── RanksRefused       a rank says that every attempt would fail the same way
    ├── Harmful            a guard says that going on would only do harm: the last checkpoint is the best there will be
    ├── RequestRefused     a server refuses the request as it stands
    ├── StorageRefused     the bucket refuses: key, permission, or what lies there is damaged
    └── RunChanged         what is stored does not fit the run as it is configured
"""

from __future__ import annotations

from deepcoder_api.lifecycle import Outcome


class OrchestratorError(Exception):
    """Ends the attempt; `outcome` says whether another may help."""

    outcome: Outcome = "retryable"

    @property
    def reason(self) -> str:
        """One word for machines."""
        return type(self).__name__


class Retryable(OrchestratorError):  # noqa: N818 - class names are the reasons that machines read
    """Another attempt may succeed."""


class Permanent(OrchestratorError):  # noqa: N818 - as above
    """Another attempt would fail the same way."""

    outcome: Outcome = "permanent"


class NoRollout(Retryable):
    """No rollout server held the current weights before the deadline."""


class GenerationFailed(Retryable):
    """A sample could not be had from any server."""


class GradingFailed(Retryable):
    """An answer was not graded before the deadline. It is neither right nor wrong."""


class RanksFailed(Retryable):
    """A rank gave up, died, or did not do its part before the deadline."""


class StorageFailed(Retryable):
    """The bucket did not take or give what it must."""


class Stopped(Retryable):
    """Somebody asked for the end before the run was done."""


class TakenOver(Permanent):
    """A newer attempt has claimed the run: this one may change nothing any more."""


class RanksRefused(Permanent):
    """A rank says that every attempt would fail the same way."""


class Harmful(Permanent):
    """A guard says that going on would only do harm. What was committed before stays."""


class RequestRefused(Permanent):
    """A rollout server or a grading server refuses the request as it stands."""


class StorageRefused(Permanent):
    """The bucket refuses what asking again cannot heal: a wrong key, a missing bucket, a damaged checkpoint."""


class RunChanged(Permanent):
    """What is stored does not fit the run as it is configured: the dataset, the cursor, or the journal."""


def first_failure(error: BaseException) -> BaseException:
    """The failure that explains a group of them: one of ours before anything else, permanent before retryable."""
    leaves = list(_leaves(error))
    return min(leaves, key=lambda leaf: (not isinstance(leaf, Permanent), not isinstance(leaf, Retryable)))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
