"""One generation at the longest limit against separate runs at each shorter one, on a real vLLM.

One request in flight: vLLM on a CPU is not batch-invariant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.chat import ChatEngine
from deepcoder_evaluation.cutting import Cutter
from deepcoder_evaluation.job import Sampling, neutral_sampling
from tests.engine_servers import MODEL, READY_SECONDS, running_engine
from tests.tiny_models import write_tiny_model

LENGTHS = (1, 7, 16, 33, 64)
PROMPTS = ("Add two numbers.", "Write ä and 😀.", "def f(x):", "List the primes.")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokens are bytes, so that many of its characters are cut in the middle.

    Its own generation_config.json wants the likeliest token alone, and none twice.
    """
    folder = write_tiny_model(tmp_path_factory.mktemp("model") / "model", seed=3)
    (folder / "generation_config.json").write_text('{"top_k": 1, "repetition_penalty": 1.9, "do_sample": true}')
    return folder


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A vLLM started as the engine of an evaluation is."""
    with running_engine(model, tmp_path_factory.mktemp("engine"), max_tokens=64, max_model_length=256) as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[ChatEngine]:
    """The engine, ready."""
    async with httpx.AsyncClient(trust_env=False) as client:
        engine = ChatEngine(url, MODEL, client, deadline_seconds=120, token_ids=True)
        await engine.wait_ready(READY_SECONDS)
        yield engine


@pytest.mark.timeout(600)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_cuts_are_what_separate_runs_give(engine: ChatEngine, model: Path, temperature: float) -> None:
    """Text, finish reason and length at every limit; sampled with a seed as well as greedily."""
    cutter = Cutter(model)
    sampling = Sampling(temperature, 1.0, LENGTHS[-1], 1, 0, named=neutral_sampling("vllm"))
    for number, prompt in enumerate(PROMPTS):
        longest = await engine.ask(prompt, sampling, seed=number)
        assert longest.ids is not None
        assert len(longest.ids) == longest.answer_tokens
        for tokens in LENGTHS:
            separate = await engine.ask(prompt, replace(sampling, max_tokens=tokens), seed=number)
            cut = cutter.cut(longest, tokens)
            assert cut.exact
            assert (cut.text, cut.finish_reason, cut.answer_tokens) == shown(separate)


@pytest.mark.timeout(600)
async def test_nothing_of_the_models_own_sampling_is_added(engine: ChatEngine) -> None:
    """vLLM takes it from generation_config.json for what a request does not name: then every seed answers the same."""

    async def answers(named: dict[str, float]) -> set[str]:
        sampling = Sampling(1.0, 1.0, 16, 1, 0, named=named)
        return {(await engine.ask("Say anything.", sampling, seed=seed)).text for seed in range(4)}

    assert len(await answers({})) == 1
    assert len(await answers(neutral_sampling("vllm"))) == 4


def shown(answer: Answer) -> tuple[str, str, int]:
    return answer.text, answer.finish_reason, answer.answer_tokens


@pytest.mark.timeout(600)
async def test_an_answer_that_ends_by_itself_is_cut_before_its_end_and_not_after(
    engine: ChatEngine, model: Path
) -> None:
    """Sampled until some answer stops: at its own length it is whole, one token less cuts it."""
    sampling = Sampling(1.0, 1.0, 64, 1, 0, named=neutral_sampling("vllm"))
    for seed in range(200):
        answer = await engine.ask("Stop.", sampling, seed=seed)
        if answer.finish_reason == "stop" and answer.answer_tokens > 1:
            break
    else:
        pytest.fail("no answer stopped")
    for tokens in (answer.answer_tokens - 1, answer.answer_tokens):
        separate = await engine.ask("Stop.", replace(sampling, max_tokens=tokens), seed=seed)
        cut = Cutter(model).cut(answer, tokens)
        assert (cut.text, cut.finish_reason, cut.answer_tokens) == shown(separate)
        assert cut.finish_reason == ("stop" if tokens == answer.answer_tokens else "length")
