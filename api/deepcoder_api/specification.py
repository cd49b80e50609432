"""Pieces that both resources share: where models and objects lie, the sandbox, and what a pod may be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from deepcoder_api.grading import Limits, Profile
from deepcoder_api.problems import MAX_TEST_SECONDS

Name = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
PartName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SecretName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
ObjectUri = Annotated[str, Field(max_length=1024, pattern=r"^(s3|hf|file)://[^\s]+$")]
EnvName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ShortText = Annotated[str, Field(max_length=253)]

# Annotations that container runtimes and network plug-ins obey, such as a flag of runsc or a second network.
_LOOSENING_ANNOTATIONS = (
    "dev.gvisor.",
    "io.kubernetes.cri",
    "io.containerd.",
    "container.apparmor.security.beta.kubernetes.io/",
    "k8s.v1.cni.cncf.io/",
    "v1.multus-cni.io/",
)


class SpecificationError(ValueError):
    """A specification whose values do not fit each other. `field` is the path, as written in YAML."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Specification(BaseModel):
    """A part of a resource: camelCase in YAML, unknown fields refused, immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ModelSource(Specification):
    """The base model: weights, tokenizer and chat template in the Hugging Face layout."""

    uri: Annotated[str, Field(max_length=1024, pattern=r"^(s3|hf|pvc|file)://[^\s]+$")] = Field(
        description="Where the model lies: hf://organisation/name, s3://bucket/prefix, pvc://claim/path, "
        "or file:///path (local runs only)."
    )
    revision: ShortText | None = Field(default=None, description="Branch, tag or commit of an hf:// model.")
    secret_name: SecretName | None = Field(
        default=None, description="Secret with HF_TOKEN for an hf:// model that is gated or private."
    )


class StorageSpec(Specification):
    """The S3 bucket and prefix that datasets, the journal, checkpoints, samples and reports go to."""

    uri: Annotated[str, Field(max_length=1024, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$")] = Field(
        description="s3://bucket/prefix."
    )
    endpoint: Annotated[str, Field(max_length=1024, pattern=r"^https?://[^\s]+$")] | None = Field(
        default=None, description="URL of an S3 server that is not AWS's own."
    )
    region: ShortText = Field(default="us-east-1", description="Region that requests are signed for.")
    secret_name: SecretName | None = Field(
        default=None,
        description="Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if needed, AWS_SESSION_TOKEN. "
        "Without it the pods' own identity is used (workload identity).",
    )


class SandboxLimits(Specification):
    """What one model-written program may use on one test."""

    timeout_seconds: float = Field(
        default=6,
        gt=0,
        le=MAX_TEST_SECONDS,
        description="Wall-clock and CPU seconds for one test of a problem that has no limit of its own.",
    )
    memory_mib: int = Field(default=512, ge=64, le=65536, alias="memoryMiB", description="Memory in MiB.")
    output_mib: int = Field(
        default=4, ge=1, le=64, alias="outputMiB", description="Standard output and error in MiB, each."
    )
    processes: int = Field(default=16, ge=1, le=1024, description="Processes and threads at once.")

    def for_grading(self) -> Limits:
        """The same in the grading protocol."""
        return Limits.model_validate(self.model_dump())


class Resources(Specification):
    """Container resources in Kubernetes' own quantities."""

    requests: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=16, description="What the scheduler reserves, such as cpu: 2, memory: 8Gi."
    )
    limits: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=16, description="What the container may not pass."
    )


class Toleration(Specification):
    """A taint that the pod tolerates."""

    key: ShortText | None = Field(default=None, description="Taint key; empty with operator Exists tolerates all.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How the value is compared.")
    value: ShortText | None = Field(default=None, description="Taint value for operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect; empty means all effects."
    )


class SandboxPod(Specification):
    """What may be said of sandbox pods. Runtime class, security, network and token are not among it."""

    image: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Image in place of the operator's own."
    )
    node_selector: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=32, description="Labels that the node must have."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list[Toleration], max_length=32, description="Taints to tolerate."
    )
    priority_class_name: ShortText | None = Field(default=None, description="PriorityClass of the pods.")
    annotations: dict[ShortText, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=32, description="Annotations added to the pods."
    )
    resources: Resources = Field(default=Resources(), description="Requests and limits, merged over the defaults.")


class PodSpec(SandboxPod):
    """What may be said of the pods of a role; merged by key over what the operator sets."""

    service_account_name: ShortText | None = Field(
        default=None, description="ServiceAccount of the pods, such as one bound to a cloud identity."
    )
    env: dict[EnvName, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, max_length=64, description="Environment variables, by name."
    )


class SandboxSpec(Specification):
    """The pods that run model-written programs."""

    replicas: int = Field(default=1, ge=1, le=512, description="Sandbox pods.")
    runtime_class_name: ShortText = Field(
        default="gvisor",
        min_length=1,
        description="RuntimeClass of the sandbox pods. It must be gVisor's: it is checked from inside.",
    )
    profile: Profile = Field(
        default="strict",
        description="Whose rules say what is right: strict (ours), lcb-v5 (LiveCodeBench), rllm-release (rLLM when "
        "DeepCoder was trained: it passes much that is wrong) or rllm-main (rLLM since). See docs/grading.md.",
    )
    limits: SandboxLimits = Field(default=SandboxLimits(), description="Limits for one program on one test.")
    pod: SandboxPod = Field(default=SandboxPod(), description="What is set on the sandbox pods.")

    @model_validator(mode="after")
    def _no_annotation_loosens_it(self) -> SandboxSpec:
        for name in self.pod.annotations:
            if name.startswith(_LOOSENING_ANNOTATIONS):
                raise ValueError(
                    f"pod.annotations: {name!r} speaks to the container runtime or the network; the sandbox's "
                    "isolation is not to be changed"
                )
        return self


def kubernetes_form(part: BaseModel) -> dict[str, Any]:
    """The part as it stands in YAML: camelCase keys, absent values left out."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)
