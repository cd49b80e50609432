"""A run's processes, described once: the operator renders them into pods, `deepcoder run` into local processes.

Pure functions of a resolved resource and of the addresses its parts have where they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from deepcoder_api.evaluation import EngineKind, EngineSpec
from deepcoder_api.evaluation_engines import Serving, engine_command
from deepcoder_api.problems import Strict
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun
from deepcoder_api.specification import PodSpec, Resources, SandboxPod, SandboxSpec, StorageSpec
from deepcoder_api.tracking_spec import TrackingSpec

RoleImage = Literal["worker", "trainer", "rollout", "sandbox"]
EngineImage = Literal["engine-vllm", "engine-sglang", "engine-tgi", "engine-tensorrt-llm"]
Image = RoleImage | EngineImage
"""Roles' images, which are ours, and serving engines', which may be their makers'."""
ENGINE_IMAGES: MappingProxyType[EngineKind, EngineImage] = MappingProxyType(
    {"vllm": "engine-vllm", "sglang": "engine-sglang", "tgi": "engine-tgi", "tensorrt-llm": "engine-tensorrt-llm"}
)
CONFIG_PATH = "/etc/deepcoder/config.json"
MODEL_DIRECTORY = "/model"
WORK_DIRECTORY = "/work"
CLAIM_DIRECTORY = "/claim"
CACHE_DIRECTORY = "/model-cache"

ORCHESTRATOR_PORT = 8700
WEIGHTS_PORT = 8701
MASTER_PORT = 29500
AGENT_PORT = 8800
GENERATE_PORT = 8801
SHARDS_PORT = 8802
SANDBOX_PORT = 8000
POLICY_NAME = "policy"
WANDB_VARIABLES = ("WANDB_API_KEY",)
MLFLOW_VARIABLES = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")

# A sandbox that is told to end finishes what it has accepted in this time; the pod's grace also covers its closing.
SANDBOX_DRAIN_SECONDS = 45
SANDBOX_GRACE_SECONDS = 60

_OFFLINE = {"HF_HUB_OFFLINE": "1"}
# Images of others' making write their caches to the home of root, which a pod of ours has neither.
_FOREIGN = {**_OFFLINE, "HOME": "/tmp"}
# Threads that wait must not spin: on CPU the cores are shared with the other parts of the run.
_SHARED_CORES = {"OMP_WAIT_POLICY": "PASSIVE"}


class SecretVariable(Strict):
    """An environment variable whose value is a key of a Secret."""

    name: str
    secret: str
    optional: bool = False


class Volume(Strict):
    """A writable folder that lives as long as the pod, or a claim mounted read-only. `memory` folders are tmpfs.

    A `cache` is a claim that the process of role `model` writes to, and nobody else.
    """

    name: str
    path: str
    kind: Literal["disk", "memory", "claim", "cache"] = "disk"
    claim: str | None = None
    size: str | None = None


class Probe(Strict):
    """An HTTP check: `path` on the process's port named `port`."""

    path: str
    port: str
    period_seconds: int = 2
    failure_threshold: int = 3


class Process(Strict):
    """One container's worth: what it runs and needs. `role` names the container; `before` runs to its end first."""

    role: str
    image: Image
    command: tuple[str, ...]
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[SecretVariable, ...] = ()
    ports: dict[str, int] = Field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None
    gpus: int = 0
    resources: Resources = Resources()
    pod: PodSpec | SandboxPod = PodSpec()
    runtime_class_name: str | None = None
    grace_seconds: int = 30
    before: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Addresses:
    """URLs of a run's parts as seen by each other, the address they listen on, and the folders they use.

    An empty `cache_directory`: what `model_directory` holds is kept anyway, and no cache is used.
    The defaults are a pod's.
    """

    orchestrator: str = ""
    sandbox: str = ""
    engine: str = ""
    model_directory: str = MODEL_DIRECTORY
    work_directory: str = WORK_DIRECTORY
    cache_directory: str = CACHE_DIRECTORY
    config_path: str = CONFIG_PATH
    python: str = "python3"
    bind: str = "0.0.0.0"


def preflight_process(run: ResolvedRun, at: Addresses) -> Process:
    """Checks that the model, the bucket, the key and the data are there, before anything expensive starts."""
    return _light(run, at, "preflight", "deepcoder_trainer.preflight")


def prepare_process(run: ResolvedRun, at: Addresses, *, port: int = ORCHESTRATOR_PORT) -> Process:
    """Reads and checks the problems and writes the dataset. Where it rates them, rollout servers report to it."""
    listening = ("--port", str(port), "--bind", at.bind) if run.spec.data.difficulty else ()
    process = _light(run, at, "prepare", "deepcoder_trainer.prepare", "--sandbox", at.sandbox, *listening)
    return process.model_copy(update={"ports": {"orchestrator": port}}) if listening else process


def trainer_process(
    run: ResolvedRun,
    at: Addresses,
    *,
    attempt: int,
    dataset: str,
    replica_index: str,
    master_address: str,
    host: str,
    port: int = ORCHESTRATOR_PORT,
    weights_port: int = WEIGHTS_PORT,
    master_port: int = MASTER_PORT,
) -> Process:
    """One trainer pod: the ranks, the server of their weights and, on replica 0, the orchestrator.

    `replica_index` may name a variable. `host` is the address that rollout servers reach the pod by; ranks of several
    pods meet at `master_port` of the master.
    """
    trainer = run.spec.trainer
    arguments = (
        *("--attempt", str(attempt), "--dataset", dataset, "--sandbox", at.sandbox),
        *("--model-dir", at.model_directory, "--work-dir", at.work_directory, "--port", str(port)),
        *("--replica-index", replica_index, "--master-address", master_address, "--master-port", str(master_port)),
        *("--bind", at.bind),
        *("--host", host, "--weights-port", str(weights_port)),
    )
    return Process(
        role="trainer",
        image="trainer",
        command=(at.python, "-m", "deepcoder_trainer.launch", *arguments),
        environment={**_configured(at), **_threads(trainer.gpus_per_replica), **trainer.pod.env},
        secrets=(*_secrets(run.spec.storage, None), *_tracking_secrets(run.spec.tracking)),
        ports={"orchestrator": port, "weights": weights_port},
        volumes=(
            *_model_volumes(run.spec.model.uri, at),
            Volume(name="work", path=at.work_directory),
            Volume(name="shared-memory", path="/dev/shm", kind="memory"),
        ),
        gpus=trainer.gpus_per_replica,
        resources=trainer.pod.resources,
        pod=trainer.pod,
        grace_seconds=60,
        before=(
            _model_process(
                run.spec.model.uri, run.spec.model.revision, run.spec.model.secret_name, run.spec.storage, at
            ),
        ),
    )


def rollout_process(
    run: ResolvedRun,
    at: Addresses,
    *,
    host: str,
    port: int = AGENT_PORT,
    generate_port: int = GENERATE_PORT,
    shards_port: int = SHARDS_PORT,
) -> Process:
    """One rollout server: our agent, and vLLM as its child. `host` is the address others reach it by."""
    rollout = run.spec.rollout
    command = (
        *(at.python, "-m", "deepcoder_rollout.agent", "--orchestrator", at.orchestrator),
        *(
            "--model-dir",
            at.model_directory,
            "--host",
            host,
            "--bind",
            at.bind,
            "--port",
            str(port),
            "--generate-port",
            str(generate_port),
            "--shards-port",
            str(shards_port),
        ),
        *("--max-model-length", str(run.max_model_length), "--tensor-parallel", str(rollout.tensor_parallel)),
        *("--gpu-memory-utilization", str(rollout.gpu_memory_utilization), "--precision", run.spec.trainer.precision),
        *("--gpus", str(rollout.gpus_per_replica), "--", *rollout.extra_args),
    )
    return Process(
        role="rollout",
        image="rollout",
        command=command,
        environment={**_configured(at), **_vllm(rollout.gpus_per_replica), **rollout.pod.env},
        secrets=_secrets(run.spec.storage, None),
        ports={"agent": port, "generate": generate_port, "shards": shards_port},
        volumes=(
            *_model_volumes(run.spec.model.uri, at),
            Volume(name="shared-memory", path="/dev/shm", kind="memory"),
        ),
        readiness=Probe(path="/readyz", port="agent"),
        liveness=Probe(path="/healthz", port="agent", period_seconds=10, failure_threshold=6),
        startup=Probe(path="/healthz", port="agent", period_seconds=2, failure_threshold=300),
        gpus=rollout.gpus_per_replica,
        resources=rollout.pod.resources,
        pod=rollout.pod,
        before=(
            _model_process(
                run.spec.model.uri, run.spec.model.revision, run.spec.model.secret_name, run.spec.storage, at
            ),
        ),
    )


def sandbox_process(sandbox: SandboxSpec, at: Addresses) -> Process:
    """One grading server. It gets no secret, no configuration and no network of its own."""
    return Process(
        role="sandbox",
        image="sandbox",
        command=(
            *(at.python, "-m", "deepcoder_sandbox.server", "--host", "0.0.0.0", "--port", str(SANDBOX_PORT)),
            *("--require-isolation", "--scratch", "/scratch", "--drain-seconds", str(SANDBOX_DRAIN_SECONDS)),
        ),
        ports={"grading": SANDBOX_PORT},
        volumes=(Volume(name="scratch", path="/scratch", kind="memory", size="1Gi"),),
        readiness=Probe(path="/readyz", port="grading"),
        liveness=Probe(path="/healthz", port="grading", period_seconds=10, failure_threshold=6),
        resources=_merged(
            Resources(requests={"cpu": "250m", "memory": "512Mi"}, limits={"memory": "4Gi"}), sandbox.pod.resources
        ),
        pod=sandbox.pod,
        runtime_class_name=sandbox.runtime_class_name,
        grace_seconds=SANDBOX_GRACE_SECONDS,
    )


def evaluation_preflight_process(evaluation: ResolvedEvaluation, at: Addresses) -> Process:
    """Checks that the model, the bucket, the key and the benchmarks are there."""
    process = _light(evaluation, at, "preflight", "deepcoder_evaluation.preflight")
    return process.model_copy(update={"secrets": _with_key(evaluation, process.secrets)})


def engine_process(evaluation: ResolvedEvaluation, at: Addresses, *, port: int = GENERATE_PORT) -> Process:
    """One serving engine with an OpenAI-compatible API."""
    engine = evaluation.spec.engine
    serving = Serving(at.model_directory, evaluation.model_name, at.bind, port, at.python)
    return Process(
        role="engine",
        image=ENGINE_IMAGES[engine.kind],
        command=engine_command(engine, serving),
        environment={**(_vllm(engine.gpus_per_replica) if engine.kind == "vllm" else _FOREIGN), **engine.pod.env},
        ports={"generate": port},
        volumes=(
            *_model_volumes(evaluation.model_uri, at),
            *_cache_volumes(engine, at),
            Volume(name="shared-memory", path="/dev/shm", kind="memory"),
        ),
        readiness=Probe(path="/health", port="generate"),
        liveness=Probe(path="/health", port="generate", period_seconds=10, failure_threshold=6),
        startup=Probe(path="/health", port="generate", period_seconds=2, failure_threshold=900),
        gpus=engine.gpus_per_replica,
        resources=engine.pod.resources,
        pod=engine.pod,
        before=(_engine_model_process(evaluation, at),),
    )


def evaluator_process(evaluation: ResolvedEvaluation, at: Addresses, *, port: int = ORCHESTRATOR_PORT) -> Process:
    """Asks, grades, scores and writes the report."""
    endpoint = evaluation.spec.model.endpoint
    engine = endpoint.url if endpoint else at.engine
    process = _light(
        evaluation,
        at,
        "evaluator",
        "deepcoder_evaluation.evaluator",
        *("--engine", engine, "--sandbox", at.sandbox, "--port", str(port), "--bind", at.bind),
    )
    return process.model_copy(update={"ports": {"evaluator": port}, "secrets": _with_key(evaluation, process.secrets)})


def _with_key(evaluation: ResolvedEvaluation, secrets: tuple[SecretVariable, ...]) -> tuple[SecretVariable, ...]:
    endpoint = evaluation.spec.model.endpoint
    if endpoint is None or endpoint.secret_name is None:
        return secrets
    return (*secrets, SecretVariable(name="OPENAI_API_KEY", secret=endpoint.secret_name))


def _light(
    resource: ResolvedRun | ResolvedEvaluation, at: Addresses, role: str, module: str, *arguments: str
) -> Process:
    model_secret = resource.spec.model.secret_name
    model_uri = resource.spec.model.uri if isinstance(resource, ResolvedRun) else resource.model_uri
    claims = tuple(volume for volume in _model_volumes(model_uri, at) if volume.kind == "claim")
    return Process(
        role=role,
        image="worker",
        command=(at.python, "-m", module, *arguments),
        environment=_configured(at),
        secrets=_secrets(resource.spec.storage, model_secret),
        volumes=(*claims, Volume(name="work", path=at.work_directory)),
        resources=Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "4Gi"}),
    )


def _model_process(
    uri: str, revision: str | None, model_secret: str | None, storage: StorageSpec, at: Addresses
) -> Process:
    command = (at.python, "-m", "deepcoder_data.fetch_model", "--uri", uri, "--to", at.model_directory)
    return Process(
        role="model",
        image="worker",
        command=(*command, *(("--revision", revision) if revision else ())),
        environment=_configured(at),
        secrets=_secrets(storage, model_secret),
        volumes=_model_volumes(uri, at),
    )


def _engine_model_process(evaluation: ResolvedEvaluation, at: Addresses) -> Process:
    spec = evaluation.spec
    process = _model_process(evaluation.model_uri, None, spec.model.secret_name, spec.storage, at)
    cache = _cache_volumes(spec.engine, at)
    arguments = ("--cache", at.cache_directory) if cache else ()
    changes = {"command": (*process.command, *arguments), "volumes": (*process.volumes, *cache)}
    return process.model_copy(update=changes)


def _cache_volumes(engine: EngineSpec, at: Addresses) -> tuple[Volume, ...]:
    if engine.model_cache is None or not at.cache_directory:
        return ()
    claim = engine.model_cache.claim_name
    return (Volume(name="model-cache", path=at.cache_directory, kind="cache", claim=claim),)


def _model_volumes(uri: str, at: Addresses) -> tuple[Volume, ...]:
    model = Volume(name="model", path=at.model_directory)
    if not uri.startswith("pvc://"):
        return (model,)
    claim = uri.removeprefix("pvc://").split("/", 1)[0]
    return (model, Volume(name="claim", path=CLAIM_DIRECTORY, kind="claim", claim=claim))


def _configured(at: Addresses) -> dict[str, str]:
    return {"DEEPCODER_CONFIG": at.config_path, "DEEPCODER_WORK_DIRECTORY": at.work_directory}


def _threads(gpus: int) -> dict[str, str]:
    # torchrun sets OMP_NUM_THREADS=1 with a warning when nobody has; on CPU the ranks share the pod's cores.
    if gpus:
        return {}
    return {"OMP_NUM_THREADS": "2", **_SHARED_CORES, "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}


def _vllm(gpus: int) -> dict[str, str]:
    common = {**_OFFLINE, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if gpus:
        return common
    # vLLM compiles a few functions even in eager mode, with a C++ compiler that the image has no other use for.
    # Nor does a model small enough for a CPU need a third process, with another 15 s of imports, for its worker.
    return {
        **common,
        **_SHARED_CORES,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


def _secrets(storage: StorageSpec, model_secret: str | None) -> tuple[SecretVariable, ...]:
    variables: list[SecretVariable] = []
    if storage.secret_name:
        variables += [
            SecretVariable(name="AWS_ACCESS_KEY_ID", secret=storage.secret_name),
            SecretVariable(name="AWS_SECRET_ACCESS_KEY", secret=storage.secret_name),
            SecretVariable(name="AWS_SESSION_TOKEN", secret=storage.secret_name, optional=True),
        ]
    if model_secret:
        variables.append(SecretVariable(name="HF_TOKEN", secret=model_secret))
    return tuple(variables)


def _tracking_secrets(tracking: TrackingSpec) -> tuple[SecretVariable, ...]:
    """Optional, all of them: a run does not wait for a Secret that only its figures need."""
    given = (
        (tracking.wandb and tracking.wandb.secret_name, WANDB_VARIABLES),
        (tracking.mlflow and tracking.mlflow.secret_name, MLFLOW_VARIABLES),
    )
    return tuple(
        SecretVariable(name=name, secret=secret, optional=True) for secret, names in given if secret for name in names
    )


def _merged(defaults: Resources, given: Resources) -> Resources:
    return Resources(requests={**defaults.requests, **given.requests}, limits={**defaults.limits, **given.limits})
