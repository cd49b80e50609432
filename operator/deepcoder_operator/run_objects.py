"""The objects of a TrainingRun, by name. Pure: from the frozen run and its owner to documents."""

from __future__ import annotations

from typing import Any

from deepcoder_api.processes import (
    AGENT_PORT,
    GENERATE_PORT,
    ORCHESTRATOR_PORT,
    SANDBOX_PORT,
    SHARDS_PORT,
    WEIGHTS_PORT,
    Addresses,
    preflight_process,
    prepare_process,
    rollout_process,
    sandbox_process,
    trainer_process,
)
from deepcoder_api.resolve import ResolvedRun
from deepcoder_operator import objects
from deepcoder_operator.frozen import Frozen
from deepcoder_operator.labels import Owner
from deepcoder_operator.pods import pod_template

Document = dict[str, Any]

_TRAINER_PORTS = {"orchestrator": ORCHESTRATOR_PORT}
# Cluster autoscalers and Karpenter leave a node alone that holds such a pod: moving a trainer costs an attempt.
_DO_NOT_EVICT = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


def addresses(owner: Owner) -> Addresses:
    """Where the parts of a run reach each other."""
    return Addresses(
        orchestrator=f"http://{owner.host('orchestrator')}:{ORCHESTRATOR_PORT}",
        # Its client spreads grades over the servers by how many each has.
        sandbox=f"dns+http://{owner.host('sandbox')}:{SANDBOX_PORT}",
    )


def foundations(owner: Owner, run: ResolvedRun, operator_namespace: str) -> list[Document]:
    """What must be there before any pod: accounts, network policies, Services and budgets."""
    operator = objects.from_operator(operator_namespace)
    graders = objects.from_roles(owner, "prepare", "trainer")
    trainers = objects.from_roles(owner, "trainer")
    rollouts = objects.from_roles(owner, "rollout")
    trainer_ingress = [
        objects.ingress_rule([trainers]),
        objects.ingress_rule([rollouts, operator], ORCHESTRATOR_PORT),
        objects.ingress_rule([rollouts], WEIGHTS_PORT),
    ]
    # Rollout servers pass shards on to each other, and can do no more there than read them.
    rollout_ingress = [
        objects.ingress_rule([trainers], AGENT_PORT, GENERATE_PORT),
        objects.ingress_rule([rollouts], SHARDS_PORT),
    ]
    prepare_ingress: list[Document] = []
    if run.spec.data.difficulty is not None:
        # Answers only: nobody but an orchestrator may order weights.
        rollout_ingress.append(objects.ingress_rule([objects.from_roles(owner, "prepare")], GENERATE_PORT))
        prepare_ingress.append(objects.ingress_rule([rollouts], ORCHESTRATOR_PORT))
    return [
        objects.service_account(owner, "pods"),
        objects.service_account(owner, "sandbox"),
        objects.network_policy(owner, "preflight", [], egress=True),
        objects.network_policy(owner, "prepare", prepare_ingress, egress=True),
        objects.network_policy(owner, "sandbox", [objects.ingress_rule([graders], SANDBOX_PORT)], egress=False),
        objects.network_policy(owner, "rollout", rollout_ingress, egress=True),
        objects.network_policy(owner, "trainer", trainer_ingress, egress=True),
        objects.service(owner, "sandbox", "sandbox", {"grading": SANDBOX_PORT}, headless=True),
        objects.disruption_budget(owner, "sandbox"),
        objects.disruption_budget(owner, "rollout"),
    ]


def preflight_job(owner: Owner, frozen: Frozen[ResolvedRun], number: int) -> Document:
    """The checks before anything expensive starts."""
    process = preflight_process(frozen.resource, addresses(owner))
    template = pod_template(owner, process, frozen.images, attempt=number, restart_policy="Never")
    return objects.job(owner, f"preflight-{number}", "preflight", number, template)


def prepare_job(owner: Owner, frozen: Frozen[ResolvedRun], number: int) -> Document:
    """The preparation of the dataset."""
    process = prepare_process(frozen.resource, addresses(owner))
    template = pod_template(owner, process, frozen.images, attempt=number, restart_policy="Never")
    return objects.job(owner, f"prepare-{number}", "prepare", number, template)


def preparation_service(owner: Owner) -> Document:
    """What rollout servers find the prepare Job by; the first attempt takes it over."""
    return objects.orchestrator_service(owner, owner.selector("prepare"), _TRAINER_PORTS)


def trainer_job(owner: Owner, frozen: Frozen[ResolvedRun], attempt: int, dataset: str) -> Document:
    """The trainer pods of an attempt; pod 0 holds the orchestrator."""
    replicas = frozen.resource.spec.trainer.replicas
    part = f"trainer-{attempt}"
    process = trainer_process(
        frozen.resource,
        addresses(owner),
        attempt=attempt,
        dataset=dataset,
        replica_index="$(JOB_COMPLETION_INDEX)",
        master_address="127.0.0.1" if replicas == 1 else f"{owner.child(part)}-0.{owner.host(part)}",
        host="$(POD_IP)",
    )
    template = pod_template(
        owner,
        process,
        frozen.images,
        attempt=attempt,
        restart_policy="Never",
        annotations=_DO_NOT_EVICT,
        subdomain=owner.child(part),
    )
    return objects.job(owner, part, "trainer", attempt, template, pods=replicas)


def attempt_services(owner: Owner, attempt: int) -> list[Document]:
    """The headless Service of an attempt, and the Service to its orchestrator."""
    return [
        objects.attempt_service(owner, attempt, _TRAINER_PORTS),
        objects.orchestrator_service(owner, objects.orchestrator_selector(owner, attempt), _TRAINER_PORTS),
    ]


def rollout_deployment(owner: Owner, frozen: Frozen[ResolvedRun], replicas: int) -> Document:
    """The vLLM servers; they stay over all attempts."""
    process = rollout_process(frozen.resource, addresses(owner), host="$(POD_IP)")
    template = pod_template(owner, process, frozen.images)
    return objects.deployment(owner, "rollout", replicas, template, surge=False)


def sandbox_deployment(owner: Owner, frozen: Frozen[ResolvedRun], replicas: int) -> Document:
    """The grading servers."""
    process = sandbox_process(frozen.resource.spec.sandbox, addresses(owner))
    return objects.deployment(owner, "sandbox", replicas, pod_template(owner, process, frozen.images), surge=True)
