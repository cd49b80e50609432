"""The policy under DeepSpeed: built once, then forward, backward and step in an order that is the same on all ranks.

Gradients add up over microbatches under an explicit boundary with accumulation 1, in fp32, and are averaged over ranks;
the loss is multiplied by the number of ranks, so that the sum over all ranks of a loss with global weights is what is
differentiated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import structlog
import torch
import torch.distributed as dist
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.initialization import no_init_weights

from deepcoder_api.planning.model_shape import ModelShape, ModelShapeError, model_shape
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.training_run import Offload
from deepcoder_trainer import attention
from deepcoder_trainer.answer_scores import AnswerScores
from deepcoder_trainer.log_probabilities import CHUNK_TOKENS
from deepcoder_trainer.model_files import WeightFiles
from deepcoder_trainer.packing import Microbatch
from deepcoder_trainer.sequence_group import SequenceGroup, shard, whole_answers
from deepcoder_trainer.utilization import peak_flops

COLLECTIVE_TIMEOUT = timedelta(minutes=30)  # others wait in a collective while rank 0 writes a checkpoint
log = structlog.get_logger("engine")


@dataclass(frozen=True)
class EngineSettings:
    """What the engine needs of a run. `gradient_checkpointing` recomputes layers in backward to save memory.

    sequence_parallel: how many ranks share one microbatch; chunk_tokens: how many the head is applied to at a time.
    """

    precision: Literal["bf16", "fp32"]
    zero_stage: int
    betas: tuple[float, float]
    weight_decay: float
    gradient_clip: float
    gradient_checkpointing: bool = False
    sequence_parallel: int = 1
    offload: Offload = "none"
    chunk_tokens: int = CHUNK_TOKENS

    @classmethod
    def of(cls, run: ResolvedRun) -> EngineSettings:
        """From a resolved run: layers are recomputed on GPUs, where long answers would not fit otherwise."""
        optimizer, trainer = run.spec.optimizer, run.spec.trainer
        return cls(
            precision=trainer.precision,
            zero_stage=trainer.deepspeed.zero_stage,
            betas=(optimizer.betas[0], optimizer.betas[1]),
            weight_decay=optimizer.weight_decay,
            gradient_clip=optimizer.gradient_clip,
            gradient_checkpointing=trainer.gpus_per_replica > 0,
            sequence_parallel=trainer.sequence_parallel,
            offload=trainer.deepspeed.offload,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights in forward and backward; master weights, gradients and moments are fp32."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def effective_zero_stage(self) -> int:
        """DeepSpeed has no stage 0 with bf16 weights and fp32 gradients; stage 1 computes the same in less memory."""
        return 1 if self.zero_stage == 0 and self.precision == "bf16" else self.zero_stage

    def deepspeed_config(self) -> dict[str, Any]:
        """DeepSpeed's own configuration."""
        config: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self.gradient_clip,
            "zero_optimization": {"stage": self.effective_zero_stage, **self._offloaded()},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "communication_data_type": "fp32",
            "steps_per_print": 10**9,
        }
        if self.precision == "bf16":
            config |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
        return config

    def _offloaded(self) -> dict[str, Any]:
        place = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        parts = {"none": (), "optimizer": ("optimizer",), "parameters": ("optimizer", "param")}[self.offload]
        return {f"offload_{part}": place for part in parts}


def join_process_group() -> None:
    """Join the group that torchrun's environment describes: NCCL where there is CUDA, else gloo."""
    import deepspeed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "nccl"
    else:
        import deepspeed.ops

        # Its shared-memory collective is built by a compiler at run time and takes over gloo's.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        backend = "gloo"
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, timeout=COLLECTIVE_TIMEOUT)


class PolicyEngine:
    """A causal language model and its AdamW under DeepSpeed. Every method is collective: all ranks call it alike."""

    def __init__(self, model_dir: Path, settings: EngineSettings) -> None:
        """Load the model of `model_dir` (Hugging Face layout). Raises OSError or ValueError when it is not one.

        Raises ModelFilesError for one that the settings do not suit.
        """
        import deepspeed

        self.settings = settings
        config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
        attention.check_architecture(config, settings.sequence_parallel)
        if settings.offload != "none" and torch.cuda.is_available():
            torch.set_num_threads(_own_cores())
        self._sequence_group = SequenceGroup.join(settings.sequence_parallel, COLLECTIVE_TIMEOUT)
        self.model = _load(model_dir, settings)
        # fused: one pass over weights, gradients and moments, on CUDA and, where they are offloaded, on the CPU.
        adamw = torch.optim.AdamW(
            self.model.parameters(),
            lr=0.0,
            betas=settings.betas,
            eps=1e-8,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # Any: DeepSpeed's own types leave out what its engine and optimizers have.
        self.deepspeed: Any
        self.optimizer: Any
        scores = AnswerScores(self.model, settings.chunk_tokens)
        if settings.effective_zero_stage == 3 and scores.chunked_head is not None:
            for weight in scores.chunked_head.weights:
                deepspeed.zero.register_external_parameter(scores.chunked_head, weight)
        self.deepspeed, self.optimizer, _, _ = deepspeed.initialize(
            model=scores, optimizer=adamw, config=settings.deepspeed_config()
        )
        self.ranks = dist.get_world_size()
        self.data_ranks = self.ranks // settings.sequence_parallel
        """How many microbatches are computed at once, each by a sequence group."""
        self.data_rank = dist.get_rank() // settings.sequence_parallel
        self.device = torch.device(self.deepspeed.device)
        self.shape = _shape(self.model)
        self.peak_flops = _peak_flops(self.device, settings)
        """Operations a second of one GPU; None where they are not known."""
        self.updates = 0
        """Steps of Adam since it was empty: since the run began, or since it was reset."""

    def log_probabilities(
        self, microbatch: Microbatch, temperature: float, *, entropy_gradient: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(log-probabilities, entropies) of the microbatch's answer tokens, fp32 [A]; the first with gradient.

        The second has one only with `entropy_gradient`. Ranks of a sequence group give the same microbatch and get the
        same values; the gradient that each sends back is of its own share.
        """
        group = self._sequence_group
        own = shard(microbatch, group.size, group.rank)
        chosen, entropies = self.deepspeed(
            own.predictors,
            own.answer_ids,
            temperature,
            entropy_gradient,
            input_ids=own.input_ids,
            position_ids=own.position_ids,
            use_cache=False,
            **attention.packed_arguments(own.boundaries, group.group),
        )
        if group.group is None:
            return chosen, entropies
        found = torch.stack([chosen, entropies])
        chosen, entropies = whole_answers(found, own.first, len(microbatch.answer_ids), group.group)
        return chosen, entropies if entropy_gradient else entropies.detach()

    def set_boundary(self, last: bool) -> None:
        """Before each forward of an update: whether its backward is the update's last."""
        self.deepspeed.set_gradient_accumulation_boundary(last)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this rank's microbatch of the loss, whose weights are global."""
        self.deepspeed.backward(loss * self.ranks)

    def step(self, learning_rate: float) -> float:
        """Clip, update the weights and clear the gradients; returns the gradient's norm before it was clipped."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        norm = self._plain_norm() if self.settings.effective_zero_stage == 0 else None
        self.deepspeed.step()
        self.updates += 1
        if norm is None:
            norm = self.deepspeed.get_global_grad_norm()
            assert norm is not None, "DeepSpeed keeps the norm of every clipped step"
        return float(norm)

    def _plain_norm(self) -> float:
        squares = [p.grad.double().square().sum() for p in self.model.parameters() if p.grad is not None]
        return float(torch.stack(squares).sum().sqrt())


def _shape(model: PreTrainedModel) -> ModelShape | None:
    try:
        return model_shape(model.config.to_dict())
    except ModelShapeError as error:
        log.info("model FLOP utilisation is not told", cause=str(error))
        return None


def _peak_flops(device: torch.device, settings: EngineSettings) -> float | None:
    return (
        peak_flops(torch.cuda.get_device_name(device))
        if device.type == "cuda" and settings.precision == "bf16"
        else None
    )


def _own_cores() -> int:
    """This rank's share of the cores: torchrun leaves one thread, and with offload the CPU has the update to do."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _load(model_dir: Path, settings: EngineSettings) -> PreTrainedModel:
    load = _load_split if settings.effective_zero_stage == 3 else _load_whole
    model = load(model_dir, settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    return model


def _load_whole(model_dir: Path, settings: EngineSettings) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=settings.dtype, attn_implementation=attention.register(), local_files_only=True
    )


def _load_split(model_dir: Path, settings: EngineSettings) -> PreTrainedModel:
    """The model with each weight split over the ranks as it is made: no rank ever holds the whole."""
    import deepspeed

    config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
    with deepspeed.zero.Init(config_dict_or_path=settings.deepspeed_config()), no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=settings.dtype, attn_implementation=attention.register())
    model.tie_weights()  # which is left out with the initialisation of weights
    reads = dist.get_rank() == 0
    files = WeightFiles(model_dir) if reads else None
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
            if files is not None:
                parameter.data.copy_(files.read(name))
    return model
