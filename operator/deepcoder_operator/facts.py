"""What a plan must know besides children: gathered here, from the API server, the index and the pods."""

from __future__ import annotations

import time
from typing import Any

from pydantic import ValidationError

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_api.manifest import EvaluationResource, ManifestError, TrainingRunResource, parse_resource
from deepcoder_api.specification import SandboxSpec
from deepcoder_api.status import Condition, is_true
from deepcoder_operator.cluster import Cluster
from deepcoder_operator.errors import NotFoundError
from deepcoder_operator.evaluation_plan import EvaluationFacts
from deepcoder_operator.index import Index, Key
from deepcoder_operator.observed import Children, PodSeen
from deepcoder_operator.progress import ProgressReader
from deepcoder_operator.run_context import RunFacts

RUNTIME_CLASS_SECONDS = 30.0


class Facts:
    """Asks as little as the next plan can do with."""

    def __init__(self, cluster: Cluster, index: Index, progress: ProgressReader) -> None:
        self._cluster = cluster
        self._index = index
        self._progress = progress
        self._runtime_classes: dict[str, float] = {}

    async def of_run(self, run: TrainingRunResource, children: Children) -> RunFacts:
        """The facts of a run. Raises ClusterError."""
        key = Key("TrainingRun", run.metadata.namespace, run.metadata.name)
        answer, silent = None, 0.0
        if run.status.phase in ("Starting", "Training"):
            pods = [pod for pod in _newest(children, "trainer") if pod.index == 0]
            answer, silent = await self._progress.read(Progress, key, pods)
        there = await self._runtime_class_there(run.spec.sandbox, run.status.conditions)
        return RunFacts(there, answer, silent)

    async def of_evaluation(self, evaluation: EvaluationResource, children: Children) -> EvaluationFacts:
        """The facts of an evaluation. Raises ClusterError."""
        meta = evaluation.metadata
        answer = None
        if evaluation.status.phase == "Running":
            key = Key("Evaluation", meta.namespace, meta.name)
            answer, _ = await self._progress.read(EvaluationProgress, key, _newest(children, "evaluator"))
        run = measured_run(evaluation)
        return EvaluationFacts(
            runtime_class_there=await self._runtime_class_there(evaluation.spec.sandbox, evaluation.status.conditions),
            progress=answer,
            training_run=self._training_run(run) if run is not None and children.config is None else None,
        )

    async def _runtime_class_there(self, sandbox: SandboxSpec, conditions: list[Condition]) -> bool | None:
        if is_true(conditions, "PreflightPassed"):
            return None
        name = sandbox.runtime_class_name
        if time.monotonic() - self._runtime_classes.get(name, float("-inf")) < RUNTIME_CLASS_SECONDS:
            return True
        try:
            await self._cluster.get("RuntimeClass", None, name)
        except NotFoundError:
            return False
        self._runtime_classes[name] = time.monotonic()
        return True

    def _training_run(self, key: Key) -> TrainingRunResource | None:
        seen = self._index.resource(key)
        if seen is None or seen.terminating:
            return None
        document = seen.document()
        try:
            run = parse_resource(document)
        except ManifestError:
            # It has failed for that, and its status says so, which is what the evaluation needs of it.
            run = unchecked_run(document)
        return run if isinstance(run, TrainingRunResource) else None


def unchecked_run(document: dict[str, Any]) -> TrainingRunResource | None:
    """A run whose fields are right one by one; None when not even that, or when it is none."""
    try:
        return TrainingRunResource.model_validate(document)
    except ValidationError:
        return None


def measured_run(evaluation: EvaluationResource) -> Key | None:
    """The TrainingRun that an evaluation names."""
    named = evaluation.spec.model.training_run
    return Key("TrainingRun", evaluation.metadata.namespace, named.name) if named is not None else None


def _newest(children: Children, role: str) -> list[PodSeen]:
    pods = children.pods_of(role)
    attempt = max((pod.attempt for pod in pods), default=0)
    return [pod for pod in pods if pod.attempt == attempt]
