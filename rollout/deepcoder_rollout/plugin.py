"""The vLLM plug-in: registers our weight engine by name. vLLM imports this in every process that it starts."""

ENGINE_NAME = "deepcoder"


def register() -> None:
    """Entry point `vllm.general_plugins`. vLLM may call it more than once in a process."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

    if ENGINE_NAME not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(
            ENGINE_NAME, "deepcoder_rollout.weight_engine", "SafetensorsFolderEngine"
        )
