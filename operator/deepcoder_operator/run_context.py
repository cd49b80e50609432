"""What the parts of a run's plan read, and the draft of the status that they write. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.lifecycle import Progress
from deepcoder_api.manifest import TrainingRunResource
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.training_run import TrainingRunStatus
from deepcoder_operator.draft import Draft
from deepcoder_operator.frozen import Frozen
from deepcoder_operator.labels import Owner
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Plan, Surroundings

RunPlan = Plan[TrainingRunStatus]


@dataclass(frozen=True)
class RunFacts:
    """What was learned about a run besides its children. None: not asked, or no answer."""

    runtime_class_there: bool | None = None
    progress: Progress | None = None
    seconds_without_progress: float = 0.0


@dataclass
class RunContext:
    """What every part of the plan reads, and the draft that it writes."""

    run: TrainingRunResource
    owner: Owner
    children: Children
    facts: RunFacts
    around: Surroundings
    draft: Draft[TrainingRunStatus]
    frozen: Frozen[ResolvedRun]

    @property
    def secrets(self) -> dict[str, str]:
        """Names of Secrets, and the fields that name them."""
        spec = self.run.spec
        named = {spec.storage.secret_name: "spec.storage.secretName", spec.model.secret_name: "spec.model.secretName"}
        return {name: field for name, field in named.items() if name}
