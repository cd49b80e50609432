"""The objects of an Evaluation, by name. Pure: from the frozen evaluation and its owner to documents."""

from __future__ import annotations

from typing import Any

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.processes import (
    GENERATE_PORT,
    ORCHESTRATOR_PORT,
    SANDBOX_PORT,
    Addresses,
    engine_process,
    evaluation_preflight_process,
    evaluator_process,
    sandbox_process,
)
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_operator import objects
from deepcoder_operator.frozen import Frozen
from deepcoder_operator.labels import Owner
from deepcoder_operator.pods import pod_template

Document = dict[str, Any]


def addresses(owner: Owner) -> Addresses:
    """Where the parts of an evaluation reach each other."""
    return Addresses(
        engine=f"http://{owner.host('engine')}:{GENERATE_PORT}",
        # Its client spreads grades over the servers by how many each has.
        sandbox=f"dns+http://{owner.host('sandbox')}:{SANDBOX_PORT}",
    )


def foundations(owner: Owner, operator_namespace: str, spec: EvaluationSpec) -> list[Document]:
    """What must be there before any pod: accounts, network policies, Services and a budget.

    A model behind somebody's endpoint needs no engine; one that stays up may be asked by every pod of the namespace.
    """
    serves = spec.model.endpoint is None
    evaluator = objects.from_roles(owner, "evaluator")
    operator = objects.from_operator(operator_namespace)
    asking = [evaluator, *([objects.FROM_NAMESPACE] if spec.serve else [])]
    engine_policy = objects.network_policy(owner, "engine", [objects.ingress_rule(asking, GENERATE_PORT)], egress=True)
    return [
        objects.service_account(owner, "pods"),
        objects.service_account(owner, "sandbox"),
        objects.network_policy(owner, "preflight", [], egress=True),
        objects.network_policy(owner, "sandbox", [objects.ingress_rule([evaluator], SANDBOX_PORT)], egress=False),
        *([engine_policy] if serves else []),
        objects.network_policy(owner, "evaluator", [objects.ingress_rule([operator], ORCHESTRATOR_PORT)], egress=True),
        objects.service(owner, "sandbox", "sandbox", {"grading": SANDBOX_PORT}, headless=True),
        *([engine_service(owner)] if serves else []),
        objects.disruption_budget(owner, "sandbox"),
    ]


def engine_service(owner: Owner) -> Document:
    """The name of the servers that answer."""
    return objects.service(owner, "engine", "engine", {"generate": GENERATE_PORT})


def served_at(owner: Owner) -> str:
    """The address of a model that stays up."""
    return f"http://{owner.host('engine')}:{GENERATE_PORT}/v1"


def preflight_job(owner: Owner, frozen: Frozen[ResolvedEvaluation], number: int) -> Document:
    """The checks before anything expensive starts."""
    process = evaluation_preflight_process(frozen.resource, addresses(owner))
    template = pod_template(owner, process, frozen.images, attempt=number, restart_policy="Never")
    return objects.job(owner, f"preflight-{number}", "preflight", number, template)


def evaluator_job(owner: Owner, frozen: Frozen[ResolvedEvaluation], number: int) -> Document:
    """Asks, grades, scores."""
    process = evaluator_process(frozen.resource, addresses(owner))
    template = pod_template(owner, process, frozen.images, attempt=number, restart_policy="Never")
    return objects.job(owner, f"evaluator-{number}", "evaluator", number, template)


def engine_deployment(owner: Owner, frozen: Frozen[ResolvedEvaluation]) -> Document:
    """The servers that answer."""
    template = pod_template(owner, engine_process(frozen.resource, addresses(owner)), frozen.images)
    replicas = frozen.resource.spec.engine.replicas
    return objects.deployment(owner, "engine", replicas, template, surge=False)


def sandbox_deployment(owner: Owner, frozen: Frozen[ResolvedEvaluation], replicas: int) -> Document:
    """The grading servers."""
    process = sandbox_process(frozen.resource.spec.sandbox, addresses(owner))
    return objects.deployment(owner, "sandbox", replicas, pod_template(owner, process, frozen.images), surge=True)
