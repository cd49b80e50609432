"""Several resources on one machine, one after the other, with one sandbox; what a run made can be measured after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.evaluation import TrainingRunModel
from deepcoder_api.manifest import EvaluationResource, Resource, TrainingRunResource
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun, resolve_run
from deepcoder_cli.local.evaluation import LocalEvaluation
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_cli.local.identity import Identity, identity_of
from deepcoder_cli.local.refusals import in_order
from deepcoder_cli.local.training import LocalRunResult, LocalTrainingRun
from deepcoder_cli.reporter import Reporter, evaluation_view, run_view

NAMESPACE = "local"


def run_paths(state: Path, storage: str, name: str) -> RunPaths:
    """Where the run of a `deepcoder run` with this state folder lies in the store. Raises OSError where none was."""
    identity = Identity.model_validate_json((state / "runs" / name / "identity.json").read_text())
    return RunPaths(storage, NAMESPACE, name, identity.uid)


@dataclass(frozen=True)
class Trained:
    """A run that has succeeded in this session, and what it made."""

    run: ResolvedRun
    result: LocalRunResult


@dataclass
class Session:
    """Where things are and what was trained so far. `endpoint`, when given, takes the place of the files' own."""

    state: Path
    grading: LocalGrading
    secrets: Mapping[str, str]
    endpoint: str | None
    reporter: Reporter
    trained: dict[str, Trained] = field(default_factory=dict)

    def execute(self, resources: Sequence[Resource]) -> None:
        """Run all, in the order in which they need each other. Raises ProcessFailedError or TimeoutError."""
        for resource in in_order(resources):
            with self.reporter.showing():
                if isinstance(resource, TrainingRunResource):
                    self._train(resource)
                else:
                    self._evaluate(resource)

    def _train(self, resource: TrainingRunResource) -> None:
        name = resource.metadata.name
        folder, spec = self.state / "runs" / name, resource.spec
        if self.endpoint:
            spec = spec.model_copy(update={"storage": self._storage(resource)})
        run = resolve_run(NAMESPACE, name, identity_of(spec, folder).uid, spec)
        training = LocalTrainingRun(
            run,
            folder,
            self.grading,
            self.secrets,
            say=lambda text: self.reporter.say(name, text),
            show=lambda progress: self.reporter.show(run_view(name, progress)),
        )
        self.trained[name] = Trained(run, training.execute())
        self.reporter.say(name, f"Succeeded, model at {self.trained[name].result.model_uri}", "green")

    def _evaluate(self, resource: EvaluationResource) -> None:
        name = resource.metadata.name
        folder, spec = self.state / "evaluations" / name, resource.spec
        if self.endpoint:
            spec = spec.model_copy(update={"storage": self._storage(resource)})
        source, endpoint = spec.model.training_run, spec.model.endpoint
        uri = self._model_of(source) if source is not None else endpoint.url if endpoint else spec.model.uri
        assert uri is not None, "a model is a URI, a training run's or an endpoint's: the specification is checked"
        uid = identity_of(spec, folder).uid
        model_name = endpoint.name if endpoint else name
        evaluation = ResolvedEvaluation(
            namespace=NAMESPACE, name=name, uid=uid, spec=spec, model_uri=uri, model_name=model_name
        )
        message = LocalEvaluation(
            evaluation,
            folder,
            self.grading,
            self.secrets,
            say=lambda text: self.reporter.say(name, text),
            show=lambda progress: self.reporter.show(evaluation_view(name, progress)),
        ).execute()
        for score in message.scores or ():
            self.reporter.say(
                name, f"{score.name}: pass@1 {score.pass_at_1:.3f} over {score.problems} problems", "green"
            )
        self.reporter.say(name, f"report at {message.uri}")

    def _model_of(self, source: TrainingRunModel) -> str:
        trained = self.trained[source.name]
        if source.checkpoint.best is not None:
            return f"{trained.result.best_checkpoint}/model"
        if source.checkpoint.step is None:
            return trained.result.model_uri
        run = trained.run
        paths = RunPaths(run.spec.storage.uri, run.namespace, run.name, run.uid)
        return f"{paths.checkpoint(source.checkpoint.step)}/model"

    def _storage(self, resource: Resource) -> object:
        return resource.spec.storage.model_copy(update={"endpoint": self.endpoint})
