"""The weight engine: loads a folder of safetensors files into a running vLLM worker.

The agent beside the server has already fetched and verified the folder into shared memory, so loading is a read from
memory; with tensor parallelism every worker reads the same folder and vLLM's own loaders take their slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload


@dataclass
class FolderInit(WeightTransferInitInfo):
    """`root` is the folder that every update's folder must lie in."""

    root: str = ""


@dataclass
class FolderUpdate(WeightTransferUpdateInfo):
    """`directory` holds *.safetensors with the parameters under their Hugging Face names."""

    directory: str = ""


class SafetensorsFolderEngine(WeightTransferEngine[FolderInit, FolderUpdate]):
    """Implements vLLM's weight-transfer lifecycle: start, update (one folder), finish."""

    init_info_cls = FolderInit
    update_info_cls = FolderUpdate

    def init_transfer_engine(self, init_info: FolderInit) -> None:
        """Remember the folder that updates come from."""
        self._root = Path(init_info.root).resolve()

    def start_weight_update(self) -> None:
        """Put the model into the state in which its checkpoint-format loaders may run again."""
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Load one folder. Raises ValueError for a folder outside the root or without weights."""
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: FolderUpdate) -> None:
        """Stream the tensors of the folder into the model's own loader."""
        folder = Path(update_info.directory).resolve()
        if not folder.is_relative_to(self._root):
            raise ValueError(f"directory: {folder} is outside {self._root}, the folder this engine was started with")
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ValueError(f"directory: {folder} holds no .safetensors file")
        model: Any = self.model  # its class is the architecture's; all have load_weights
        model.load_weights(_tensors(files))

    def finish_weight_update(self) -> None:
        """Bring the loaded weights into the form that the kernels use."""
        finalize_layerwise_reload(self.model, self.model_config)
        if self.device.type == "cpu":
            self._repack_tied_layers()

    def shutdown(self) -> None:
        """Nothing outlives an update."""

    def _repack_tied_layers(self) -> None:
        # On CPU linear layers compute on a packed copy of the weight. A tied lm_head is never itself loaded, so its
        # copy would keep the old weights.
        for module in self.model.modules():
            weight, method = getattr(module, "weight", None), getattr(module, "quant_method", None)
            if hasattr(module, "cpu_linear") and method is not None and weight is not None and weight.numel() > 0:
                method.process_weights_after_loading(module)


def _tensors(files: list[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    for file in files:
        with safe_open(file, framework="pt", device="cpu") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                yield name, tensors.get_tensor(name)
