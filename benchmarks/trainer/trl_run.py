"""`python -m benchmarks.trainer.trl_run`: TRL's GRPOTrainer over our rollout server, weight plug-in and sandbox.

The adapter is what stands where TRL has its own client of vLLM: it pushes weights through our plug-in and asks by our
generator. All else is TRL's as released. Writes steps.json, and the weights of some steps, outside the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, TypeVar

import torch
from datasets import Dataset
from safetensors.torch import save_file
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, TrainerCallback
from trl.trainer import grpo_trainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from benchmarks.trainer.held_out import read_problems
from benchmarks.trainer.policy_server import PolicyClient, ServerUrls
from benchmarks.trainer.trl_settings import rate_factor, rows, trl_arguments
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.generation import Question
from deepcoder_trainer.orchestrator.grading import IN_FLIGHT_PER_REPLICA, Grader
from deepcoder_trainer.orchestrator.progress import StepClock

CALL_SECONDS = 1800.0
Result = TypeVar("Result")


class LoopThread:
    """An event loop in a thread, for a caller that blocks."""

    def __enter__(self) -> LoopThread:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`. Raises TimeoutError after CALL_SECONDS."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)


class OurGeneration:
    """Where TRL has VLLMGeneration: its two methods, and what it asks the server's settings by."""

    vllm_client = SimpleNamespace(
        # What rollout servers of ours are started with (deepcoder_rollout.vllm_server).
        get_server_info=lambda: {"model_config": {"logprobs_mode": "processed_logprobs"}}
    )

    def __init__(self, model: PreTrainedModel, loop: LoopThread, client: PolicyClient, clock: StepClock,
                 run: ResolvedRun) -> None:  # fmt: skip
        self._model, self._loop, self._client, self._clock, self._run = model, loop, client, clock, run
        self._asked = 0

    def sync_weights(self) -> None:
        """Write the weights as ranks of ours do and order them."""
        with self._clock.part("sync_weights"):
            folder = self._client.next_folder()
            save_weights(self._model, folder)
            self._loop.run(self._client.load(folder))

    def generate(self, prompts: Sequence[Sequence[int]], **_: object) -> tuple[None, list[Any], list[Any], None]:
        """An answer to each prompt (already once for each sample): token ids and log-probabilities [A, L, 1]."""
        limit, algorithm = self._run.spec.stages[-1].max_response_tokens, self._run.algorithm
        first, self._asked = self._asked, self._asked + len(prompts)
        questions = [
            Question(str(number), tuple(prompt), limit, algorithm.temperature, algorithm.seed * 1_000_003 + number)
            for number, prompt in enumerate(prompts, first)
        ]
        with self._clock.part("sample"):
            answers = self._loop.run(self._client.ask(questions))
        ids = [list(answer.token_ids) for answer in answers]
        return None, ids, [[[value] for value in answer.log_probabilities] for answer in answers], None


class Rewards:
    """TRL's reward function: each answer to the sandbox, all at once."""

    __name__ = "accepted"

    def __init__(self, run: ResolvedRun, problems: dict[str, Problem], sandbox: str, loop: LoopThread,
                 clock: StepClock) -> None:  # fmt: skip
        self._run, self._problems, self._sandbox, self._loop, self._clock = run, problems, sandbox, loop, clock

    def __call__(self, completions: list[list[dict[str, str]]], problem: list[str], **_: object) -> list[float | None]:
        """The rewards, in order."""
        answers = [completion[0]["content"] for completion in completions]
        with self._clock.part("grade"):
            return self._loop.run(self._grade(answers, problem))

    async def _grade(self, answers: list[str], names: list[str]) -> list[float | None]:
        async with SandboxClient(self._sandbox, max_in_flight=IN_FLIGHT_PER_REPLICA) as client:
            grader = Grader(client, self._run.spec.sandbox)
            work = (
                grader.grade(self._problems[name], answer, name) for name, answer in zip(names, answers, strict=True)
            )
            return [graded.reward for graded in await asyncio.gather(*work)]


class TimedTrainer(GRPOTrainer):
    """GRPOTrainer with two of its parts timed, each with what it calls."""

    clock: StepClock

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        with self.clock.part("all_of_sampling"):
            return super()._generate_and_score_completions(inputs)

    def training_step(self, *arguments: Any, **named: Any) -> Any:
        with self.clock.part("all_of_training_step"):
            return super().training_step(*arguments, **named)


class StepWatch(TrainerCallback):
    """When each of our steps is done, and the weights of some: what is written here is outside the clock."""

    def __init__(self, run: ResolvedRun, clock: StepClock, folder: Path, every: int) -> None:
        self._run, self._clock, self._folder, self._every = run, clock, folder, every
        self._paused = 0.0
        self.steps: list[dict[str, Any]] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The clock begins: model and servers are up."""
        self._begun = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """After each optimizer step of TRL's."""
        step, rest = divmod(state.global_step, self._run.algorithm.optimizer_steps_per_step)
        if rest:
            return
        now = time.monotonic()
        self.steps.append(
            {"step": step, "seconds": now - self._begun - self._paused, "parts": dict(self._clock.seconds)}
        )
        self._clock.seconds.clear()
        print(f"trl: step {step} of {self._run.total_steps}, {self.steps[-1]['seconds']:.1f} s", flush=True)
        if step % self._every == 0 or step == self._run.total_steps:
            folder = self._folder / f"step-{step:06d}"
            folder.mkdir(parents=True)
            save_weights(named["model"], folder)
        (self._folder / "steps.json").write_text(json.dumps(self.steps))
        self._paused += time.monotonic() - now


def save_weights(model: PreTrainedModel, folder: Path) -> None:
    """The weights under their Hugging Face names, a tied one once."""
    tensors = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    """Train to the last step."""
    options = _options()
    run = ResolvedRun.model_validate_json(options.run.read_text())
    problems = {problem.id: problem for problem in read_problems(options.problems)}
    clock, optimizer = StepClock(), run.spec.optimizer
    torch.manual_seed(run.algorithm.seed)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    adamw = torch.optim.AdamW(
        model.parameters(), lr=optimizer.learning_rate, betas=(optimizer.betas[0], optimizer.betas[1]), eps=1e-8,
        weight_decay=optimizer.weight_decay,
    )  # fmt: skip
    with LoopThread() as loop:
        client = PolicyClient(ServerUrls(options.agent, options.generate), options.to / "weights")
        loop.run(client.__aenter__())
        generation = OurGeneration(model, loop, client, clock, run)
        setattr(grpo_trainer, "VLLMGeneration", lambda **_: generation)  # noqa: B010 - the name is TRL's own import
        watch = StepWatch(run, clock, options.to, options.every)
        TimedTrainer.clock = clock
        trainer = TimedTrainer(
            model=model,
            reward_funcs=Rewards(run, problems, options.sandbox, loop, clock),
            args=GRPOConfig(**trl_arguments(run, options.to / "trl")),
            train_dataset=Dataset.from_list(rows(run, problems)),
            processing_class=AutoTokenizer.from_pretrained(options.model),
            callbacks=[watch],
            optimizers=(adamw, LambdaLR(adamw, lambda update: rate_factor(run, update))),
        )
        trainer.train()
        loop.run(client.__aexit__(None, None, None))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.trainer.trl_run", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="file of a resolved run: all settings come from it")
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--problems", type=Path, required=True, help="the training problems, JSON lines")
    parser.add_argument("--agent", required=True, help="URL of the rollout server's agent")
    parser.add_argument("--generate", required=True, help="URL of its vLLM")
    parser.add_argument("--sandbox", required=True, help="URL of the grading server")
    parser.add_argument("--to", type=Path, required=True, help="folder to write to")
    parser.add_argument("--every", type=int, required=True, help="steps between kept weights")
    return parser.parse_args()


if __name__ == "__main__":
    main()
