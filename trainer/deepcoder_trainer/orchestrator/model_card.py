"""What a model's folder has for who uses it: README.md, and in generation_config.json how to sample it.

transformers and vLLM load it as it is, and sample as generation_config.json says unless they are told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcoder_api.lifecycle import StageAdvance
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_trainer.orchestrator.resume import RunState

CARD = "README.md"
GENERATION_CONFIG = "generation_config.json"
HUB = "hf://"
_SAMPLING = frozenset({"do_sample", "temperature", "top_p", "top_k", "min_p"})
_SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def complete_model(folder: Path, run: ResolvedRun, state: RunState, score: float | None) -> None:
    """Write what is missing in the model's folder of a checkpoint. `score` is its validation's, if there is one."""
    file = folder / GENERATION_CONFIG
    own = json.loads(file.read_text()) if file.exists() else {}
    if not own.keys() & _SAMPLING:
        config = json.loads((folder / "config.json").read_text())
        file.write_text(json.dumps(generation_config(own, config, _stage(run, state)), indent=2) + "\n")
    (folder / CARD).write_text(model_card(run, state, score), encoding="utf-8")


def generation_config(own: Mapping[str, Any], config: Mapping[str, Any], stage: ResolvedStage) -> dict[str, Any]:
    """How to sample a model whose base says nothing of it: as it was trained.

    own: what its generation_config.json says of other things; config: its config.json.
    """
    tokens = {name: config[name] for name in _SPECIAL_TOKENS if config.get(name) is not None}
    # By this mark transformers may make the file anew from config.json.
    kept = {name: value for name, value in own.items() if name != "_from_model_config"}
    return {**tokens, **kept, "do_sample": True, "temperature": stage.algorithm.temperature}


def model_card(run: ResolvedRun, state: RunState, score: float | None) -> str:
    """The README.md of a checkpoint's model."""
    model, stage = run.spec.model.uri, _stage(run, state)
    base = model.removeprefix(HUB) if model.startswith(HUB) else None
    front = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [code, reinforcement-learning]"]
    if base:
        front.append(f"base_model: {base}")
    return "\n".join(
        [
            "---",
            *front,
            "---",
            f"# {run.name}, step {state.step}",
            f"{model} after {state.step} steps of reinforcement learning on programming problems whose tests were run.",
            "",
            "## Use",
            f"Ask in the user's turn, without a system prompt, at temperature {stage.algorithm.temperature:g}; leave "
            f"{stage.max_response_tokens} tokens for the answer, whose last fenced Python block is the program.",
            "",
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
            'model = AutoModelForCausalLM.from_pretrained("FOLDER")',
            'turn = [{"role": "user", "content": "Read two integers and print their sum."}]',
            "prompt = tokenizer.apply_chat_template(",
            '    turn, add_generation_prompt=True, return_tensors="pt", return_dict=True',
            ")",
            f"answer = model.generate(**prompt, max_new_tokens={stage.max_response_tokens})",
            'print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :]))',
            "```",
            "",
            "`vllm serve FOLDER` serves it; both sample as generation_config.json says unless they are told otherwise.",
            "",
            "## How it was trained",
            *_recipe(run, state),
            "",
            "## Limits",
            *_limits(run, stage, score),
            "",
        ]
    )


def _recipe(run: ResolvedRun, state: RunState) -> list[str]:
    algorithm, optimizer = run.algorithm, run.spec.optimizer
    early = {advance.stage: advance for advance in state.advances}
    begun = [stage.name for stage in run.stages].index(state.stage) + 1
    forked = f", from the checkpoint {run.spec.resume_from.uri}" if run.spec.resume_from else ""
    return [
        f"- Base model: {model_source(run)}{forked}",
        f"- Algorithm: {algorithm.preset}, {algorithm.optimizer_steps_per_step} optimizer steps a step, AdamW at "
        f"{optimizer.learning_rate:g} ({optimizer.schedule})",
        *(_stage_line(stage, early.get(stage.name)) for stage in run.stages[:begun]),
        f"- Problems: {', '.join(f'{source.name} ({source.uri})' for source in run.spec.data.sources)}; "
        f"{state.prompts} prompts and {state.answer_tokens} answer tokens were trained on",
        f"- Grading: profile {run.spec.sandbox.profile}; a program earns 1 when every test accepts it, else 0",
    ]


def _stage_line(stage: ResolvedStage, advance: StageAdvance | None) -> str:
    ended = f"ended after step {advance.step}: {advance.reason}" if advance else f"{stage.steps} steps planned"
    return (
        f"- Stage {stage.name}: at most {stage.max_response_tokens} answer tokens, {stage.algorithm.prompts_per_step} "
        f"prompts x {stage.algorithm.samples_per_prompt} answers a step, temperature "
        f"{stage.algorithm.temperature:g} ({ended})"
    )


def _limits(run: ResolvedRun, stage: ResolvedStage, score: float | None) -> list[str]:
    measured = "It was not measured while it was trained."
    if score is not None and run.spec.validation is not None:
        names = ", ".join(source.name for source in run.spec.validation.sources)
        measured = f"Its pass@1 on the run's validation problems ({names}) was {score:.3f}."
    return [
        f"- {measured} An Evaluation says what it is worth on a benchmark.",
        f"- It was trained on prompts of up to {run.spec.data.max_prompt_tokens} tokens and answers of up to "
        f"{stage.max_response_tokens}, in Python; beyond them it was not trained.",
        "- Its programs are a model's: run them where they can do no harm.",
        "- The base model's licence and limits hold for it.",
    ]


def model_source(run: ResolvedRun) -> str:
    """The base model, with its revision where one was given."""
    model = run.spec.model
    return f"{model.uri} ({model.revision})" if model.revision else model.uri


def _stage(run: ResolvedRun, state: RunState) -> ResolvedStage:
    return next(stage for stage in run.stages if stage.name == state.stage)
