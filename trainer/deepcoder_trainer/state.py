"""What a resume needs beyond the model: fp32 weights, Adam's moments and steps, random states. No pickle is read.

`directory`/optimizer*.safetensors holds `<parameter>/{weight, exp_avg, exp_avg_sq}` whole and in fp32, so another
number of ranks or another ZeRO stage may take it up; random.safetensors each rank's generator; trainer.json
the counters.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter

from deepcoder_api.problems import Strict
from deepcoder_trainer.engine import PolicyEngine
from deepcoder_trainer.model_files import SHARD_BYTES, ModelFilesError, WeightFiles, shard_names, shards
from deepcoder_trainer.packing import dummy
from deepcoder_trainer.weights import gathered, parameter_elements

WEIGHT = "weight"
MOMENTS = ("exp_avg", "exp_avg_sq")
COUNTERS = "trainer.json"
RANDOM = "random.safetensors"


class StateError(ValueError):
    """A checkpoint's state that does not fit the model. Reading it again gives the same."""


class Counters(Strict):
    """trainer.json: `updates` are the steps of Adam since it was empty, which its bias correction depends on."""

    updates: int
    ranks: int


def save_state(engine: PolicyEngine, directory: Path, shard_bytes: int = SHARD_BYTES) -> int:
    """Rank 0 writes the state; returns its bytes. Collective. Before the first optimizer step there are no moments."""
    parameters = dict(engine.model.named_parameters())
    kinds = (WEIGHT, *MOMENTS) if engine.updates else (WEIGHT,)
    sizes = {name: parameter_elements(p) * 4 * len(kinds) for name, p in parameters.items()}
    runs = shards(sizes, shard_bytes)
    random = _random_states(engine)
    writes = dist.get_rank() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
        save_file(random, directory / RANDOM)
        (directory / COUNTERS).write_text(Counters(updates=engine.updates, ranks=engine.ranks).model_dump_json())
    for file, run in zip(shard_names("optimizer", len(runs)), runs, strict=True):
        whole: dict[str, Tensor] = {}
        for name in run:
            for kind in kinds:
                tensor = _get(engine, parameters[name], kind)
                if writes:
                    whole[f"{name}/{kind}"] = tensor.float().cpu().contiguous().clone()
        if writes:
            save_file(whole, directory / file)
    return sum(sizes.values())


def load_state(engine: PolicyEngine, directory: Path) -> None:
    """Take up the state that `save_state` wrote, whatever the number of ranks or the ZeRO stage then. Collective.

    Only rank 0 reads `directory`; the others get every tensor from it. Raises StateError on rank 0 when the files are
    not those of this model.
    """
    reads = dist.get_rank() == 0
    counters = _read_counters(directory) if reads else None
    updates = int(_from_first(engine, torch.tensor([counters.updates if counters else 0]))[0])
    files = WeightFiles(directory) if reads else None
    kinds = (WEIGHT, *MOMENTS) if updates else (WEIGHT,)
    if updates:
        _make_moments(engine)
    for name, parameter in engine.model.named_parameters():
        for kind in kinds:
            tensor = torch.empty(_shape(parameter))
            if files is not None:
                tensor = _read(files, f"{name}/{kind}", tensor)
            _set(engine, parameter, kind, _from_first(engine, tensor))
    for state in _adam_states(engine):
        state["step"].fill_(updates)
    engine.updates = updates
    _load_random(engine, directory)


def reset_optimizer(engine: PolicyEngine) -> None:
    """Adam as it was before its first step: its moments and its step count are zero, the weights stay."""
    for state in _adam_states(engine):
        for tensor in state.values():
            tensor.zero_()
    engine.updates = 0


def _read_counters(directory: Path) -> Counters:
    try:
        return Counters.model_validate_json((directory / COUNTERS).read_text())
    except (OSError, ValidationError) as error:
        raise StateError(f"{directory / COUNTERS} cannot be read: {error}") from error


def _read(files: WeightFiles, name: str, like: Tensor) -> Tensor:
    try:
        tensor = files.read(name)
    except ModelFilesError as error:
        raise StateError(str(error)) from error
    if tensor.shape != like.shape:
        raise StateError(f"{name} has shape {tuple(tensor.shape)} in the checkpoint, {tuple(like.shape)} in the model")
    return tensor.float()


def _from_first(engine: PolicyEngine, tensor: Tensor) -> Tensor:
    """Rank 0's tensor, on every rank and on its device."""
    tensor = tensor.to(engine.device)
    dist.broadcast(tensor, src=0)
    return tensor


def _shape(parameter: Parameter) -> torch.Size:
    return getattr(parameter, "ds_shape", parameter.shape)


def _get(engine: PolicyEngine, parameter: Parameter, kind: str) -> Tensor:
    """The whole fp32 weight or moment of a parameter. Collective above ZeRO stage 0."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    if engine.settings.effective_zero_stage == 0:
        return parameter.detach() if kind == WEIGHT else engine.optimizer.state[parameter][kind]
    whole = safe_get_full_fp32_param(parameter) if kind == WEIGHT else safe_get_full_optimizer_state(parameter, kind)
    assert whole is not None, f"ZeRO keeps no {kind}"
    return whole.view(_shape(parameter))


def _set(engine: PolicyEngine, parameter: Parameter, kind: str, value: Tensor) -> None:
    """Set the whole fp32 weight, with the model's own copy of it, or a moment of a parameter. Collective at stage 3."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    stage = engine.settings.effective_zero_stage
    if kind == WEIGHT:
        with gathered([parameter], modified=True), torch.no_grad():
            parameter.data.copy_(value)
    if stage == 3:
        _set_own_part(parameter, kind, value)
    elif stage > 0 and kind == WEIGHT:
        safe_set_full_fp32_param(parameter, value)
    elif stage > 0:
        safe_set_full_optimizer_state(parameter, value, kind)
    elif kind != WEIGHT:
        engine.optimizer.state[parameter][kind].copy_(value)


def _set_own_part(parameter: Parameter, kind: str, value: Tensor) -> None:
    """ZeRO-3's part of this rank. Its safe_set_full_* fail on the last rank when the ranks do not divide the size."""
    from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

    part = int(parameter.ds_tensor.numel())  # type: ignore[attr-defined]
    padded = torch.nn.functional.pad(value.flatten(), (0, part * dist.get_world_size() - value.numel()))
    own = padded.narrow(0, part * dist.get_rank(), part)
    if kind == WEIGHT:
        safe_set_local_fp32_param(parameter, own)
    else:
        safe_set_local_optimizer_state(parameter, own, kind)


def _make_moments(engine: PolicyEngine) -> None:
    """Have Adam allocate its moments where ZeRO looks for them: a step of zero gradient at learning rate zero."""
    microbatch = dummy().to(engine.device)
    engine.set_boundary(True)
    engine.backward((engine.log_probabilities(microbatch, 1.0)[0] * microbatch.weights).sum())
    engine.step(learning_rate=0.0)


def _adam_states(engine: PolicyEngine) -> list[dict[str, Tensor]]:
    inner = getattr(engine.optimizer, "optimizer", engine.optimizer)  # ZeRO wraps the AdamW it was given
    return [state for state in inner.state.values() if "step" in state]


def _random_states(engine: PolicyEngine) -> dict[str, Tensor]:
    """Each rank's generators by name, on every rank. Collective."""
    own = {"cpu": torch.get_rng_state()}
    if engine.device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(engine.device)
    states: dict[str, Tensor] = {}
    for kind, state in own.items():
        of_ranks = [torch.empty_like(state, device=engine.device) for _ in range(engine.ranks)]
        dist.all_gather(of_ranks, state.to(engine.device))
        states |= {f"{kind}-{rank}": of_rank.cpu() for rank, of_rank in enumerate(of_ranks)}
    return states


def _load_random(engine: PolicyEngine, directory: Path) -> None:
    """Take up this rank's generators that rank 0 finds; a rank that was not there then keeps its own. Collective."""
    stored = load_file(directory / RANDOM) if dist.get_rank() == 0 else {}
    own = _random_states(engine)
    for name, state in own.items():
        taken = _from_first(engine, stored.get(name, state)).cpu()
        if name == f"cpu-{dist.get_rank()}":
            torch.set_rng_state(taken)
        elif name == f"cuda-{dist.get_rank()}":
            torch.cuda.set_rng_state(taken, engine.device)
