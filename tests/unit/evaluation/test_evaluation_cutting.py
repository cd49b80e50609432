"""Cutting answers: exact by ids, approximate by text, never by guess."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.cutting import Cutter
from tests.tiny_models import write_tokenizer

END = 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose tokens are bytes: a letter is one, an ä two, an emoji four."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


def answer(tokenizer: Path, text: str, *, ids: bool = True, finish_reason: str = "stop") -> Answer:
    from tokenizers import Tokenizer

    given = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode(text).ids
    given += [END] if finish_reason == "stop" else []
    return Answer(text, finish_reason, 3, len(given), 0.1, array("I", given) if ids else None, (1, 10))


def test_an_answer_within_the_limit_is_whole(tokenizer: Path) -> None:
    """Five letters and the end are six tokens: a limit of six does not cut, nor is a tokenizer needed."""
    for cutter in (Cutter(tokenizer), Cutter(None)):
        cut = cutter.cut(answer(tokenizer, "hello"), 6)
        assert (cut.text, cut.finish_reason, cut.answer_tokens, cut.exact) == ("hello", "stop", 6, True)


def test_ids_are_cut_exactly(tokenizer: Path) -> None:
    """At five the end is not reached: the text is whole and the model was cut all the same."""
    cuts = [Cutter(tokenizer).cut(answer(tokenizer, "hello"), tokens) for tokens in (5, 3, 1)]
    assert [(cut.text, cut.finish_reason, cut.exact) for cut in cuts] == [
        ("hello", "length", True), ("hel", "length", True), ("h", "length", True),
    ]  # fmt: skip


@pytest.mark.parametrize(("tokens", "text"), [(1, "a"), (2, "a"), (3, "aä"), (4, "aä"), (6, "aä"), (7, "aä😀")])
def test_half_a_character_is_not_written(tokenizer: Path, tokens: int, text: str) -> None:
    """As the engine itself holds back bytes until they are a character."""
    assert Cutter(tokenizer).cut(answer(tokenizer, "aä😀b"), tokens).text == text


def test_text_alone_is_tokenised_again_and_marked(tokenizer: Path) -> None:
    """The same cut here, but nothing shows that the model wrote it by these tokens."""
    cut = Cutter(tokenizer).cut(answer(tokenizer, "hello", ids=False), 3)
    assert (cut.text, cut.finish_reason, cut.exact) == ("hel", "length", False)


def test_ids_that_do_not_give_the_text_are_not_cut_by(tokenizer: Path) -> None:
    """An engine that takes its text apart (a reasoning parser) tells ids of another text."""
    given = answer(tokenizer, "hello")
    apart = Answer("<think>\nhello", "length", 3, 9, 0.1, given.ids, None)
    cut = Cutter(tokenizer).cut(apart, 8)
    assert (cut.text, cut.exact) == ("<think>\n", False)


def test_without_a_tokenizer_nothing_is_cut() -> None:
    """An error, not a text of some length."""
    with pytest.raises(ValueError, match="9 tokens cannot be cut at 4"):
        Cutter(None).cut(Answer("hello", "stop", 3, 9, 0.1), 4)


def test_a_tokenizer_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Its file is named."""
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read"):
        Cutter(tmp_path)
