"""A run's processes: commands, environments, ports and secrets, described once for cluster and laptop."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.processes import (
    Addresses,
    Process,
    engine_process,
    evaluation_preflight_process,
    evaluator_process,
    preflight_process,
    prepare_process,
    rollout_process,
    sandbox_process,
    trainer_process,
)
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun
from deepcoder_api.specification import SandboxSpec
from deepcoder_sandbox.server import CLOSE_SECONDS
from tests.resolved_runs import resolved_run

AT = Addresses(orchestrator="http://orchestrator:8700", sandbox="http://sandbox:8000", engine="http://engine:8801")
CREDENTIALS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
STORAGE = {"uri": "s3://bucket/prefix", "secretName": "s3"}


def run(**parts: Any) -> ResolvedRun:
    """A run whose storage has a Secret."""
    return resolved_run(storage=STORAGE, **parts)


def evaluation(**parts: Any) -> ResolvedEvaluation:
    """An evaluation of a model in S3."""
    spec: dict[str, Any] = {
        "model": {"uri": "s3://bucket/model"},
        "benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/h.jsonl"}],
        "storage": STORAGE,
        **parts,
    }
    parsed = EvaluationSpec.model_validate(spec)
    uri = parsed.model.uri or "s3://bucket/of-the-run"
    return ResolvedEvaluation(namespace="n", name="e", uid="u", spec=parsed, model_uri=uri, model_name="model")


def trainer(resolved: ResolvedRun) -> Process:
    """Pod 3 of the second attempt."""
    return trainer_process(
        resolved, AT, attempt=2, dataset="s3://d", replica_index="3", master_address="m", host="10.0.0.9"
    )


def all_processes(resolved: ResolvedRun, measured: ResolvedEvaluation) -> dict[str, Process]:
    """Every process there is, by role, those that run before others too."""
    found = [
        preflight_process(resolved, AT),
        prepare_process(resolved, AT),
        trainer(resolved),
        rollout_process(resolved, AT, host="here"),
        sandbox_process(resolved.spec.sandbox, AT),
        engine_process(measured, AT),
        evaluator_process(measured, AT),
    ]
    before = [inner for process in found for inner in process.before]
    return {process.role: process for process in (*found, *before)}


def test_prepare_listens_only_where_problems_are_rated() -> None:
    """Rollout servers report to it by the orchestrator's port, which is its own where many run on one machine."""
    rated = run(data={"difficulty": {"samplesPerPrompt": 4, "keepAbove": 0}})
    process = prepare_process(rated, AT, port=9001)
    assert process.ports == {"orchestrator": 9001}
    assert (option(process, "--port"), option(process, "--bind")) == ("9001", "0.0.0.0")
    assert (PROCESSES["prepare"].ports, "--port" in PROCESSES["prepare"].command) == ({}, False)


def option(process: Process, name: str) -> str:
    """The value of a command line option."""
    return process.command[process.command.index(name) + 1]


PROCESSES = all_processes(run(), evaluation())


@pytest.mark.parametrize(
    ("role", "module", "image"),
    [
        ("preflight", "deepcoder_trainer.preflight", "worker"),
        ("prepare", "deepcoder_trainer.prepare", "worker"),
        ("model", "deepcoder_data.fetch_model", "worker"),
        ("trainer", "deepcoder_trainer.launch", "trainer"),
        ("rollout", "deepcoder_rollout.agent", "rollout"),
        ("sandbox", "deepcoder_sandbox.server", "sandbox"),
        ("engine", "vllm.entrypoints.openai.api_server", "engine-vllm"),
        ("evaluator", "deepcoder_evaluation.evaluator", "worker"),
    ],
)
def test_what_each_role_runs(role: str, module: str, image: str) -> None:
    """A module of ours (or vLLM's server) by its role's image."""
    assert PROCESSES[role].command[1:3] == ("-m", module)
    assert PROCESSES[role].image == image


@pytest.mark.parametrize("role", ["preflight", "prepare", "model", "trainer", "rollout", "evaluator"])
def test_who_gets_the_buckets_credentials(role: str) -> None:
    """By reference to the Secret; the session token only if it is there."""
    secrets = PROCESSES[role].secrets
    assert [variable.name for variable in secrets] == CREDENTIALS
    assert {variable.secret for variable in secrets} == {"s3"}
    assert [variable.optional for variable in secrets] == [False, False, True]


def test_the_sandbox_gets_nothing_of_the_run() -> None:
    """No secret, no configuration, no environment; isolation is demanded, whatever the spec says."""
    sandbox = PROCESSES["sandbox"]
    assert (sandbox.secrets, sandbox.environment, sandbox.before) == ((), {}, ())
    assert "--require-isolation" in sandbox.command
    assert sandbox.runtime_class_name == "gvisor"


def test_the_sandboxs_grace_is_longer_than_it_drains() -> None:
    """With time left to send the last answers and to close, before the kubelet ends it by force."""
    sandbox = PROCESSES["sandbox"]
    assert sandbox.grace_seconds >= int(option(sandbox, "--drain-seconds")) + CLOSE_SECONDS + 5


def test_the_engine_gets_no_credentials() -> None:
    """It has the model from its init container, and needs no more."""
    assert PROCESSES["engine"].secrets == ()


def test_without_a_secret_the_pods_own_identity_is_used() -> None:
    """Workload identity: no AWS variable at all."""
    found = all_processes(resolved_run(), evaluation(storage={"uri": "s3://bucket/prefix"}))
    assert all(process.secrets == () for process in found.values())


def test_a_gated_model_brings_its_token() -> None:
    """HF_TOKEN goes to who reads the model, not to trainer and rollout servers."""
    found = all_processes(run(model={"uri": "hf://a/b", "secretName": "hf"}), evaluation())
    with_token = {role for role, process in found.items() if any(v.name == "HF_TOKEN" for v in process.secrets)}
    assert {"preflight", "prepare"} <= with_token
    assert not {"trainer", "rollout", "sandbox", "engine", "evaluator"} & with_token


def test_the_trainers_command() -> None:
    """Attempt, dataset, place in the group and where the others are."""
    process = trainer(run())
    assert option(process, "--attempt") == "2"
    assert option(process, "--dataset") == "s3://d"
    assert option(process, "--replica-index") == "3"
    assert option(process, "--master-address") == "m"
    assert option(process, "--sandbox") == AT.sandbox
    assert (option(process, "--host"), option(process, "--weights-port")) == ("10.0.0.9", "8701")
    assert process.ports == {"orchestrator": 8700, "weights": 8701}


def test_the_rollout_servers_command() -> None:
    """The resolved context, and the user's own arguments after --."""
    process = rollout_process(run(rollout={"extraArgs": ["--max-num-seqs", "8"]}), AT, host="10.0.0.1")
    assert option(process, "--max-model-length") == str(run().max_model_length)
    assert option(process, "--host") == "10.0.0.1"
    assert process.command[-3:] == ("--", "--max-num-seqs", "8")
    assert process.ports == {"agent": 8800, "generate": 8801, "shards": 8802}


@pytest.mark.parametrize(("gpus", "expected"), [(0, "cpu"), (1, None)])
def test_accelerators(gpus: int, expected: str | None) -> None:
    """Without a GPU DeepSpeed and torch are told so; with one nothing is said."""
    assert trainer(run(trainer={"gpusPerReplica": gpus})).environment.get("DS_ACCELERATOR") == expected


def test_the_users_environment_wins() -> None:
    """What a pod says goes over what we set."""
    process = trainer(run(trainer={"pod": {"env": {"OMP_NUM_THREADS": "9"}}}))
    assert process.environment["OMP_NUM_THREADS"] == "9"


def test_the_engine_without_and_with_gpus() -> None:
    """On CPU eager and fp32; on GPUs its share of memory."""
    cpu = engine_process(evaluation(engine={"gpusPerReplica": 0}), AT).command
    gpu = engine_process(evaluation(engine={"gpusPerReplica": 2, "tensorParallel": 2}), AT)
    assert ("--enforce-eager" in cpu, "--gpu-memory-utilization" in cpu) == (True, False)
    assert ("--enforce-eager" in gpu.command, option(gpu, "--tensor-parallel-size")) == (False, "2")
    assert gpu.gpus == 2


@pytest.mark.parametrize(
    ("kind", "program", "options"),
    [
        ("vllm", "python3 -m vllm.entrypoints.openai.api_server", "tensor-parallel-size max-model-len "
         "gpu-memory-utilization"),
        ("sglang", "python3 -m sglang.launch_server", "tp-size context-length mem-fraction-static"),
        ("tgi", "text-generation-launcher", "num-shard max-total-tokens cuda-memory-fraction"),
        ("tensorrt-llm", "trtllm-serve /model", "tp_size max_seq_len kv_cache_free_gpu_memory_fraction"),
    ],
)  # fmt: skip
def test_each_engine_by_its_own_names(kind: str, program: str, options: str) -> None:
    """Shards, length and memory; the model's folder; the user's arguments last; shared memory, and a health probe."""
    given = {"kind": kind, "gpusPerReplica": 2, "tensorParallel": 2, "maxModelLength": 70000, "extraArgs": ["--more"]}
    process = engine_process(evaluation(engine={**given, "pod": {"image": "made/by:them"}}), AT)
    assert " ".join(process.command).startswith(f"{program} ")
    assert [option(process, f"--{name}") for name in options.split()] == ["2", "70000", "0.9"]
    assert "/model" in process.command
    assert process.command[-1] == "--more"
    assert process.environment["HF_HUB_OFFLINE"] == "1"
    assert "/dev/shm" in {volume.path for volume in process.volumes}
    assert process.readiness is not None
    assert process.readiness.path == "/health"
    assert process.pod.image == "made/by:them"


def test_a_model_on_a_claim_is_mounted_for_who_reads_it() -> None:
    """pvc://claim/path: the claim, read-only, wherever the model is read or checked."""
    found = all_processes(run(model={"uri": "pvc://models/base"}), evaluation(model={"uri": "pvc://models/base"}))
    mounted = {role for role, process in found.items() if any(v.claim == "models" for v in process.volumes)}
    assert {"preflight", "model", "trainer", "rollout", "engine"} <= mounted
    assert "sandbox" not in mounted


def test_the_sandboxs_resources_are_merged_over_the_defaults() -> None:
    """By key: raising the limit keeps the requests."""
    given = SandboxSpec.model_validate({"pod": {"resources": {"limits": {"memory": "8Gi"}}}})
    resources = sandbox_process(given, AT).resources
    assert resources.limits == {"memory": "8Gi"}
    assert resources.requests == {"cpu": "250m", "memory": "512Mi"}


@pytest.mark.parametrize("role", sorted(PROCESSES))
def test_probes_ask_ports_that_are_there(role: str) -> None:
    """A probe names a port of its own process; ports are named as Kubernetes allows."""
    process = PROCESSES[role]
    probes = [probe for probe in (process.readiness, process.liveness, process.startup) if probe]
    assert {probe.port for probe in probes} <= set(process.ports)
    assert all(len(name) <= 15 for name in process.ports)


def test_an_evaluations_preflight() -> None:
    """Its own module, before anything is served."""
    assert evaluation_preflight_process(evaluation(), AT).command[2] == "deepcoder_evaluation.preflight"


def test_only_the_trainer_has_the_trackers_keys_and_waits_for_none() -> None:
    """Of the Secrets that are named, each optional; a tool without a Secret has none."""
    tracking = {
        "wandb": {"project": "coder", "secretName": "wandb"},
        "mlflow": {"url": "https://mlflow.example", "experiment": "coder", "secretName": "mlflow"},
    }
    found = all_processes(resolved_run(tracking=tracking), evaluation(storage={"uri": "s3://bucket/prefix"}))
    secrets = found.pop("trainer").secrets
    assert {(variable.name, variable.secret) for variable in secrets} == {
        ("WANDB_API_KEY", "wandb"),
        ("MLFLOW_TRACKING_TOKEN", "mlflow"),
        ("MLFLOW_TRACKING_USERNAME", "mlflow"),
        ("MLFLOW_TRACKING_PASSWORD", "mlflow"),
    }
    assert all(variable.optional for variable in secrets)
    assert all(process.secrets == () for process in found.values())
    without = resolved_run(tracking={"wandb": {"project": "coder"}})
    assert all_processes(without, evaluation())["trainer"].secrets == ()
