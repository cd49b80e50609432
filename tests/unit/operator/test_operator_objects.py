"""The objects around pods: names, labels, owners, Jobs, Deployments, Services, and who may reach whom."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deepcoder_operator import evaluation_objects, objects, run_objects
from deepcoder_operator.frozen import config_map
from deepcoder_operator.labels import Owner
from tests.operator_builders import (
    DATASET,
    EVALUATION_OWNER,
    IMAGES,
    RUN_OWNER,
    UID,
    evaluation_foundations,
    evaluation_workloads,
    frozen_run,
    workloads,
)
from tests.operator_world import evaluation_world, run_world
from tests.resolved_runs import resolved_run

Document = dict[str, Any]

RATED = {"difficulty": {"samplesPerPrompt": 4, "keepAbove": 0}}
LONG_RUN = Owner("TrainingRun", "a" * 63, "r" * 40, UID)
LONG_EVALUATION = Owner("Evaluation", "a" * 63, "e" * 40, UID)
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")


def every_document(run: Owner, evaluation: Owner) -> list[Document]:
    """All that is ever created for the two."""
    frozen = frozen_run(trainer={"replicas": 8})
    return [
        *run_objects.foundations(run, resolved_run(), "deepcoder-system"),
        *run_objects.attempt_services(run, 10_000),
        config_map(run, frozen.resource, IMAGES),
        run_objects.preflight_job(run, frozen, 20),
        run_objects.prepare_job(run, frozen, 20),
        run_objects.trainer_job(run, frozen, 10_000, DATASET),
        run_objects.rollout_deployment(run, frozen, 1),
        run_objects.sandbox_deployment(run, frozen, 1),
        *evaluation_foundations(evaluation, "deepcoder-system"),
        *evaluation_workloads().values(),
    ]


def policies(documents: list[Document]) -> dict[str, Document]:
    """The specs of network policies, by role of the pods that they are about."""
    return {
        document["spec"]["podSelector"]["matchLabels"]["deepcoder.dev/role"]: document["spec"]
        for document in documents
        if document["kind"] == "NetworkPolicy"
    }


def reach(policy: Document) -> set[tuple[str, int]]:
    """Who may reach the pods of a policy, at which port; 0 is any."""
    return {
        (who, port)
        for rule in policy["ingress"]
        for peer in rule["from"]
        for who in _roles(peer)
        for port in ([item["port"] for item in rule["ports"]] if "ports" in rule else [0])
    }


def _roles(peer: Document) -> list[str]:
    if "namespaceSelector" in peer:
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "deepcoder-operator"}
        return [f"operator in {peer['namespaceSelector']['matchLabels']['kubernetes.io/metadata.name']}"]
    selector = peer["podSelector"]
    assert selector["matchLabels"] == {"deepcoder.dev/owner-uid": UID}
    (expression,) = selector["matchExpressions"]
    return expression["values"]


@pytest.mark.parametrize("document", every_document(LONG_RUN, LONG_EVALUATION), ids=lambda d: d["kind"])
def test_the_longest_names_are_still_names(document: Document) -> None:
    """40 characters of a resource leave room for what we add, for the pod's index, and for every label value."""
    name = document["metadata"]["name"]
    assert DNS_LABEL.fullmatch(name)
    if document["kind"] == "Job":
        assert DNS_LABEL.fullmatch(f"{name}-{document['spec']['completions'] - 1}")
    for value in document["metadata"]["labels"].values():
        assert LABEL_VALUE.fullmatch(value)


@pytest.mark.parametrize("document", every_document(RUN_OWNER, EVALUATION_OWNER), ids=lambda d: d["kind"])
def test_everything_belongs_to_its_resource(document: Document) -> None:
    """One controller, by uid: deleting the resource deletes it, and it is found by its labels."""
    metadata = document["metadata"]
    (reference,) = metadata["ownerReferences"]
    assert (reference["apiVersion"], reference["uid"]) == ("deepcoder.dev/v1alpha1", UID)
    assert reference["controller"] is True
    assert reference["blockOwnerDeletion"] is True
    assert metadata["namespace"] == "team"
    labels = metadata["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "deepcoder-operator"
    assert labels["deepcoder.dev/owner-uid"] == UID
    assert labels["deepcoder.dev/owner-kind"] == reference["kind"]


def test_a_run_and_an_evaluation_of_one_name_do_not_meet() -> None:
    """Their children's names differ."""
    documents = every_document(RUN_OWNER, EVALUATION_OWNER)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names))


def test_labels_of_the_resource_are_not_those_of_its_children() -> None:
    """A selector of the user's, on labels of the run, never catches a pod by accident."""
    assert RUN_OWNER.labels("trainer", 3) == {
        "app.kubernetes.io/name": "deepcoder",
        "app.kubernetes.io/instance": "tiny",
        "app.kubernetes.io/managed-by": "deepcoder-operator",
        "app.kubernetes.io/component": "trainer",
        "deepcoder.dev/owner-kind": "TrainingRun",
        "deepcoder.dev/owner-name": "tiny",
        "deepcoder.dev/owner-uid": UID,
        "deepcoder.dev/role": "trainer",
        "deepcoder.dev/attempt": "3",
    }
    assert "deepcoder.dev/role" not in RUN_OWNER.labels()


def test_who_may_reach_the_pods_of_a_run() -> None:
    """vLLM's RL routes and the sandbox are not authenticated: the network lets in the orchestrator alone."""
    found = policies(run_objects.foundations(RUN_OWNER, resolved_run(), "deepcoder-system"))
    assert {role: reach(policy) for role, policy in found.items()} == {
        "preflight": set(),
        "prepare": set(),
        "sandbox": {("prepare", 8000), ("trainer", 8000)},
        # Rollout servers read each other's shards, and give each other no orders.
        "rollout": {("trainer", 8800), ("trainer", 8801), ("rollout", 8802)},
        "trainer": {
            ("trainer", 0),
            ("rollout", 8700),
            ("rollout", 8701),
            ("operator in deepcoder-system", 8700),
        },
    }


def test_where_problems_are_rated_servers_report_to_prepare_and_answer_it() -> None:
    """It may ask for answers, and may not order weights."""
    found = policies(run_objects.foundations(RUN_OWNER, resolved_run(data=RATED), "deepcoder-system"))
    assert reach(found["prepare"]) == {("rollout", 8700)}
    assert reach(found["rollout"]) == {("trainer", 8800), ("trainer", 8801), ("rollout", 8802), ("prepare", 8801)}
    service = run_objects.preparation_service(RUN_OWNER)
    assert service["metadata"]["name"] == run_objects.attempt_services(RUN_OWNER, 1)[1]["metadata"]["name"]
    assert service["spec"]["selector"] == RUN_OWNER.selector("prepare")


def test_who_may_reach_the_pods_of_an_evaluation() -> None:
    """Engine and sandbox answer the evaluator; the evaluator tells the operator its progress."""
    found = policies(evaluation_foundations(EVALUATION_OWNER, "ours"))
    assert {role: reach(policy) for role, policy in found.items()} == {
        "preflight": set(),
        "sandbox": {("evaluator", 8000)},
        "engine": {("evaluator", 8801)},
        "evaluator": {("operator in ours", 8700)},
    }


def test_a_model_that_stays_up_may_be_asked_by_its_namespace_and_one_of_an_endpoint_has_no_policy() -> None:
    """On the engine's port alone: pods of other namespaces are not let in."""
    served = policies(evaluation_foundations(EVALUATION_OWNER, "ours", serve=True))["engine"]
    (rule,) = served["ingress"]
    assert {"podSelector": {}} in rule["from"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8801}]
    endpoint = {"uri": None, "endpoint": {"url": "https://host", "name": "m"}}
    assert "engine" not in policies(evaluation_foundations(EVALUATION_OWNER, "ours", model=endpoint))


@pytest.mark.parametrize(
    "documents",
    [
        run_objects.foundations(RUN_OWNER, resolved_run(), "deepcoder-system"),
        run_objects.foundations(RUN_OWNER, resolved_run(data=RATED), "deepcoder-system"),
        evaluation_foundations(RUN_OWNER, "deepcoder-system"),
    ],
    ids=["run", "run that rates", "evaluation"],
)
def test_only_the_sandbox_may_reach_nobody(documents: list[Document]) -> None:
    """No egress at all, not even to DNS; the others need the bucket and the hub."""
    found = policies(documents)
    assert found["sandbox"]["egress"] == []
    assert found["sandbox"]["policyTypes"] == ["Ingress", "Egress"]
    for role, policy in found.items():
        assert policy["policyTypes"] == (["Ingress", "Egress"] if role == "sandbox" else ["Ingress"])


@pytest.mark.parametrize("world", [run_world("started"), evaluation_world("running")], ids=["run", "evaluation"])
def test_no_role_is_without_a_network_policy(world: Any) -> None:
    """A pod that no policy selects may be reached by all."""
    roles = {job.role for job in world.children.jobs} | {item.role for item in world.children.deployments}
    policed = {named.name.split("-")[-1] for named in world.children.named if named.kind == "NetworkPolicy"}
    assert roles <= policed


def test_a_job_ends_with_its_first_failed_pod() -> None:
    """What follows is the operator's to decide, from the cause."""
    spec = workloads(trainer={"replicas": 4})["trainer"]["spec"]
    assert (spec["backoffLimit"], spec["completionMode"]) == (0, "Indexed")
    assert (spec["completions"], spec["parallelism"]) == (4, 4)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_trainers_find_the_first_among_them() -> None:
    """By the name that the attempt's own headless Service gives it; each knows its index."""
    job = workloads(trainer={"replicas": 4})["trainer"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = container["command"]
    assert command[command.index("--master-address") + 1] == "tiny-tr-trainer-2-0.tiny-tr-trainer-2.team.svc"
    assert command[command.index("--replica-index") + 1] == "$(JOB_COMPLETION_INDEX)"
    assert command[command.index("--attempt") + 1] == "2"
    assert command[command.index("--dataset") + 1] == DATASET
    assert job["spec"]["template"]["spec"]["subdomain"] == "tiny-tr-trainer-2"
    headless, orchestrator = run_objects.attempt_services(RUN_OWNER, 2)
    assert headless["metadata"]["name"] == "tiny-tr-trainer-2"
    assert (headless["spec"]["clusterIP"], headless["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert headless["spec"]["selector"] == RUN_OWNER.selector("trainer", 2)
    assert orchestrator["metadata"]["name"] == "tiny-tr-orchestrator"
    assert orchestrator["spec"]["selector"] == {
        **RUN_OWNER.selector("trainer", 2),
        "batch.kubernetes.io/job-completion-index": "0",
    }


def test_gpu_pods_are_replaced_one_by_one_and_never_doubled() -> None:
    """A rollout pod goes before the next comes: its GPUs are needed."""
    found = {role: document["spec"] for role, document in workloads().items() if document["kind"] == "Deployment"}
    assert found["rollout"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
    }
    assert found["sandbox"]["strategy"] == {"type": "RollingUpdate"}
    assert (found["rollout"]["replicas"], found["sandbox"]["replicas"]) == (3, 2)


def test_accounts_have_no_token() -> None:
    """A run's pods have no access to the API."""
    assert objects.service_account(RUN_OWNER, "pods")["automountServiceAccountToken"] is False


def test_parts_reach_each_other_by_the_names_of_services_that_are_there() -> None:
    """Each address that a process is given is a Service of the same run, and a port that it has.

    The sandbox's is headless: its client finds every server behind it.
    """
    services = {
        f"{'dns+' if document['spec'].get('clusterIP') == 'None' else ''}http://{document['metadata']['name']}.team.svc:{port['port']}"
        for document in [
            *run_objects.foundations(RUN_OWNER, resolved_run(), "x"), *run_objects.attempt_services(RUN_OWNER, 1),
            *evaluation_foundations(EVALUATION_OWNER, "x"),
        ]
        if document["kind"] == "Service"
        for port in document["spec"]["ports"]
    }  # fmt: skip
    run, evaluation = run_objects.addresses(RUN_OWNER), evaluation_objects.addresses(EVALUATION_OWNER)
    assert {run.orchestrator, run.sandbox, evaluation.engine, evaluation.sandbox} <= services
