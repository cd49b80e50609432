"""What a user is told before anything expensive starts: each bad input, and the message that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepcoder_data.folders import commit_folder
from deepcoder_data.holds import delete_unless_held, holders
from deepcoder_data.store import ObjectStore
from deepcoder_data.termination import PermanentError, RetryableError
from deepcoder_evaluation import preflight as evaluation_preflight
from deepcoder_trainer import preflight as run_preflight
from tests.model_folders import contents, write_model_folder
from tests.problem_builders import json_lines, problem
from tests.resolved_evaluations import resolved_evaluation
from tests.resolved_runs import resolved_run
from tests.s3_server import READER_KEY, S3Server
from tests.worker_process import run_worker


@dataclass
class Stored:
    """A model and a file of problems in a bucket, that a test damages before it looks."""

    s3: S3Server
    store: ObjectStore
    folder: str
    endpoint: str

    @property
    def model(self) -> str:
        """The model."""
        return f"{self.folder}/model"

    @property
    def problems(self) -> str:
        """The file of problems."""
        return f"{self.folder}/problems.jsonl"

    def put(self, name: str, content: bytes) -> None:
        """Write an object under the folder."""
        self.store.put_bytes(f"{self.folder}/{name}", content)

    def run(self, **parts: Any) -> str:
        """The preflight of a run over what is stored, on this server."""
        given: dict[str, Any] = {
            "model": {"uri": self.model},
            "data": {"sources": [{"name": "made", "format": "jsonl", "uri": self.problems}]},
            "storage": {"uri": self.folder, "endpoint": self.endpoint, "secretName": "s3-credentials"},
        }
        for name, part in parts.items():
            given[name] = {**given.get(name, {}), **part}
        return run_preflight.preflight(resolved_run(**given), self.store)

    def evaluation(self, model: str | None = None) -> str:
        """The preflight of an evaluation over what is stored, on this server."""
        return evaluation_preflight.preflight(
            resolved_evaluation(
                model or self.model,
                benchmarks=[{"name": "held-out", "kind": "jsonl", "uri": self.problems}],
                storage={"uri": self.folder, "endpoint": self.endpoint, "secretName": "s3-credentials"},
            ),
            self.store,
        )


@pytest.fixture
def stored(s3: S3Server, store: ObjectStore, folder: str, model_folder: Path) -> Stored:
    """A good model and two good problems."""
    whole = Stored(s3, store, folder, s3.endpoint)
    for name, content in contents(model_folder).items():
        whole.put(f"model/{name}", content)
    whole.put("problems.jsonl", json_lines([problem("a"), problem("b")]))
    return whole


def test_what_is_in_order_passes_and_leaves_no_trace(stored: Stored) -> None:
    """The probe object is deleted; a sentence says what was found."""
    before = [entry.uri for entry in stored.store.list(stored.folder)]

    assert stored.run() == "the model, the bucket and 1 file(s) of problems are there"
    assert stored.evaluation() == "the model, the bucket and 2 problems of 1 benchmark(s) are there"
    assert [entry.uri for entry in stored.store.list(stored.folder)] == before


def test_a_checkpoint_is_held_before_it_is_looked_at(stored: Stored, model_folder: Path, tmp_path: Path) -> None:
    """What was seen to be there is not pruned; where it is not there, no hold is left."""
    checkpoint = f"{stored.folder}/runs/team/tiny/0123/checkpoints/step-000002"
    with pytest.raises(PermanentError, match="is not complete"):
        stored.evaluation(f"{checkpoint}/model")
    assert holders(stored.store, checkpoint) == []
    shutil.copytree(model_folder, tmp_path / "checkpoint" / "model")
    commit_folder(stored.store, tmp_path / "checkpoint", checkpoint)
    stored.evaluation(f"{checkpoint}/model")
    assert holders(stored.store, checkpoint) == ["Evaluation default/tiny"]
    assert delete_unless_held(stored.store, checkpoint) == ["Evaluation default/tiny"]


def test_a_file_to_keep_apart_from_must_be_there(stored: Stored) -> None:
    """It is looked at, counted and named as a source is."""
    sources = [{"name": "made", "format": "jsonl", "uri": stored.problems}]
    bench = {"name": "bench", "format": "jsonl", "uri": f"{stored.folder}/bench.jsonl"}
    given = {"sources": sources, "decontaminate": [bench]}

    with pytest.raises(PermanentError) as caught:
        stored.run(data=given)
    stored.put("bench.jsonl", json_lines([problem("a")]))

    assert caught.value.reason == "DataNotFound"
    assert str(caught.value).startswith(f'spec.data.decontaminate[bench].uri: "{bench["uri"]}": ')
    assert stored.run(data=given) == "the model, the bucket and 2 file(s) of problems are there"


def test_a_file_to_validate_with_must_be_there(stored: Stored) -> None:
    """It is looked at, counted and named as a source is."""
    held_out = {"name": "held-out", "format": "jsonl", "uri": f"{stored.folder}/held-out.jsonl"}
    validation = {"everySteps": 2, "sources": [held_out]}

    with pytest.raises(PermanentError) as caught:
        stored.run(validation=validation)
    stored.put("held-out.jsonl", json_lines([problem("a")]))

    assert caught.value.reason == "DataNotFound"
    assert str(caught.value).startswith(f'spec.validation.sources[held-out].uri: "{held_out["uri"]}": ')
    assert stored.run(validation=validation) == "the model, the bucket and 2 file(s) of problems are there"


CHECKPOINT = ("state.json", "state/trainer.json", "state/optimizer.safetensors", "model/config.json")


@pytest.mark.parametrize(
    ("left_out", "config", "reason", "said"),
    [
        (None, {}, None, ""),
        ("complete.json", {}, "CheckpointNotFound", "there is no complete checkpoint: no complete.json (give its"),
        ("state/trainer.json", {}, "CheckpointNotFound", "this is no checkpoint: no state/trainer.json"),
        (
            None,
            {"hidden_size": 3},
            "CheckpointDoesNotFit",
            "its shape is not that of spec.model (MODEL): hidden_size is 3 in the checkpoint and ",
        ),
    ],
)
def test_a_checkpoint_to_begin_with_is_whole_and_fits(
    stored: Stored, tmp_path: Path, left_out: str | None, config: dict[str, int], reason: str | None, said: str
) -> None:
    """What cannot be begun with is told before anything expensive starts."""
    own = json.loads(stored.store.get_bytes(f"{stored.model}/config.json"))
    for name in CHECKPOINT:
        if name != left_out:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(json.dumps({**own, **config}))
    uri = f"{stored.folder}/runs/team/other/0123/checkpoints/step-000004"
    commit_folder(stored.store, tmp_path, uri)
    if left_out == "complete.json":
        stored.store.delete(f"{uri}/complete.json")

    if reason is None:
        assert stored.run(resumeFrom={"uri": uri}).endswith("are there")
        return
    with pytest.raises(PermanentError) as caught:
        stored.run(resumeFrom={"uri": uri})

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'spec.resumeFrom.uri: "{uri}": {said.replace("MODEL", stored.model)}')


def test_a_checkpoint_whose_config_is_no_object_is_told(stored: Stored, tmp_path: Path) -> None:
    """JSON, but no config.json."""
    for name in CHECKPOINT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[1]")
    uri = f"{stored.folder}/runs/team/other/0123/checkpoints/step-000004"
    commit_folder(stored.store, tmp_path, uri)

    with pytest.raises(PermanentError) as caught:
        stored.run(resumeFrom={"uri": uri})

    assert caught.value.reason == "ModelInvalid"
    assert str(caught.value) == f'spec.resumeFrom.uri: "{uri}": config.json is not a JSON object'


def without(*names: str) -> Callable[[Stored], None]:
    """The damage of objects that are not there."""

    def damage(stored: Stored) -> None:
        for name in names:
            stored.store.delete(f"{stored.folder}/{name}")

    return damage


def holding(name: str, content: bytes) -> Callable[[Stored], None]:
    """The damage of an object with this content."""
    return lambda stored: stored.put(name, content)


def a_pickle(stored: Stored) -> None:
    """Weights that are not safetensors."""
    without("model/model.safetensors")(stored)
    stored.put("model/pytorch_model.bin", b"pickle")


def a_lost_shard(stored: Stored) -> None:
    """An upload that was broken off."""
    stored.put("model/model.safetensors.index.json", b'{"weight_map": {"a": "model-2.safetensors"}}')


NO_MODEL = 'spec.model.uri: "{folder}/model": there is no model '
NO_DATA = 'spec.data.sources[made].uri: "{folder}/problems.jsonl": '


@pytest.mark.parametrize(
    ("damage", "reason", "said"),
    [
        (without("model/config.json"), "ModelNotFound", NO_MODEL + "(no config.json)"),
        (without("model/model.safetensors"), "ModelNotFound", NO_MODEL + "(no *.safetensors)"),
        (
            without("model/tokenizer.json"),
            "ModelNotFound",
            NO_MODEL + "(no tokenizer.json, tokenizer.model or vocab.json)",
        ),
        (a_pickle, "ModelNotFound", NO_MODEL + "(no *.safetensors (pytorch_model.bin is a pickle"),
        (
            a_lost_shard,
            "ModelNotFound",
            NO_MODEL + "(no model-2.safetensors, which model.safetensors.index.json names)",
        ),
        (
            holding("model/model.safetensors.index.json", b"{"),
            "ModelNotFound",
            NO_MODEL + "(model.safetensors.index.json cannot be read: ",
        ),
        (holding("model/complete.json", b"{"), "Damaged", 'spec.model.uri: "{folder}/model": '),
        (without("problems.jsonl"), "DataNotFound", NO_DATA + "there is no such file or folder"),
        (
            holding("problems.jsonl", b""),
            "DataEmpty",
            NO_DATA + "the file is empty; at least one problem is needed",
        ),
        (holding("problems.jsonl", b"\n \n"), "DataEmpty", NO_DATA + "the file is empty"),
    ],
)
def test_what_is_missing_in_the_bucket_is_named(
    stored: Stored, damage: Callable[[Stored], None], reason: str, said: str
) -> None:
    """Permanent: another try would find the same."""
    damage(stored)

    with pytest.raises(PermanentError) as caught:
        stored.run()

    assert not isinstance(caught.value, RetryableError)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(said.format(folder=stored.folder))


@pytest.mark.parametrize(
    ("parts", "reason", "said"),
    [
        (
            {"storage": {"uri": "s3://no-such-bucket/prefix"}},
            "BucketNotFound",
            "spec.storage.uri: \"s3://no-such-bucket/prefix\": the bucket 'no-such-bucket' does not exist "
            "at {endpoint}",
        ),
        (
            {"model": {"uri": "s3://no-such-bucket/model"}},
            "BucketNotFound",
            'spec.model.uri: "s3://no-such-bucket/model": ',
        ),
        (
            {"model": {"uri": "file:///no/such/model"}},
            "ModelNotFound",
            'spec.model.uri: "file:///no/such/model": there is no such folder',
        ),
        (
            {"data": {"sources": [{"name": "made", "format": "jsonl", "uri": "s3://no-such-bucket/x"}]}},
            "BucketNotFound",
            'spec.data.sources[made].uri: "s3://no-such-bucket/x": the bucket',
        ),
    ],
)
def test_a_uri_that_leads_nowhere_is_named(stored: Stored, parts: dict[str, Any], reason: str, said: str) -> None:
    """By its field, as it is written in YAML."""
    with pytest.raises(PermanentError) as caught:
        stored.run(**parts)

    assert caught.value.reason == reason
    assert str(caught.value).startswith(said.format(endpoint=stored.endpoint))


@pytest.mark.parametrize(
    ("access_key", "secret_key", "said"),
    [
        ("nobody", "not-a-secret", "InvalidAccessKeyId"),
        ("tester", "wrong", "SignatureDoesNotMatch"),
        (READER_KEY, "not-a-secret", "AccessDenied"),
    ],
)
def test_a_wrong_key_names_the_secret(stored: Stored, access_key: str, secret_key: str, said: str) -> None:
    """Also a key that may read and not write: found now, not at the first checkpoint."""
    stored.store = stored.s3.store(access_key, secret_key)

    with pytest.raises(PermanentError) as caught:
        stored.run()

    assert caught.value.reason == "AccessDenied"
    assert str(caught.value).startswith(
        f'spec.storage.secretName: "s3-credentials": spec.storage.uri "{stored.folder}": access is refused '
        f"at {stored.endpoint}: "
    )
    assert said in str(caught.value)


def test_a_server_that_does_not_answer_may_come_back(stored: Stored) -> None:
    """The only failure here that another try can heal."""
    stored.endpoint = "http://127.0.0.1:1"
    stored.store = ObjectStore(stored.endpoint, "us-east-1", access_key="x", secret_key="y")

    with pytest.raises(RetryableError) as caught:
        stored.run()

    assert caught.value.reason == "StorageUnavailable"
    assert str(caught.value).startswith('spec.storage.endpoint: "http://127.0.0.1:1": ')


def test_a_server_without_conditional_puts_is_refused(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attempts could both commit. A server that ignores the conditions is had here by not sending them."""
    put = stored.store.put_bytes
    monkeypatch.setattr(stored.store, "put_bytes", lambda uri, content, **conditions: put(uri, content))

    with pytest.raises(PermanentError) as caught:
        stored.run()

    assert caught.value.reason == "ConditionalPutUnsupported"
    assert str(caught.value).startswith(f'spec.storage.uri: "{stored.folder}": the server at {stored.endpoint} ignores')


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"", "DataEmpty", "the file is empty; at least one problem is needed"),
        (json_lines([problem()]) + b"{}\n", "DataInvalid", "line 2: id: Field required"),
        (json_lines([problem("x", tests=[])]), "DataInvalid", "problem 'x' has no tests and cannot be scored"),
        (b"\x1f\x8bcut", "Damaged", "the gzip file is damaged"),
    ],
)
def test_a_benchmark_that_cannot_be_scored_is_found_before_the_engine_starts(
    stored: Stored, content: bytes, reason: str, said: str
) -> None:
    """A score over a part of the benchmark would be another number."""
    stored.put("problems.jsonl", content)

    with pytest.raises(PermanentError) as caught:
        stored.evaluation()

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'spec.benchmarks[held-out].uri: "{stored.problems}": {said}')


def test_a_claim_is_looked_into(stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is mounted in the preflight's pod; its weights are told by their index too."""
    from deepcoder_data import checks

    claim = tmp_path / "claim"
    write_model_folder(claim / "tiny", shards=2)
    storage = stored.s3.storage(stored.folder)

    checks.check_model(stored.store, storage, "pvc://name/tiny", claim=claim)
    (claim / "tiny" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(PermanentError, match=r"no model-00002-of-00002\.safetensors, which"):
        checks.check_model(stored.store, storage, "pvc://name/tiny", claim=claim)
    shutil.rmtree(claim / "tiny")
    with pytest.raises(PermanentError, match=r'spec\.model\.uri: "pvc://name/tiny": the claim has no such folder'):
        checks.check_model(stored.store, storage, "pvc://name/tiny", claim=claim)


def test_the_processes_end_as_the_operator_reads_them(stored: Stored, tmp_path: Path) -> None:
    """Exit code and termination message, for a run that is in order and for one whose model is not there."""
    storage = {"uri": stored.folder, "endpoint": stored.endpoint, "secretName": "s3-credentials"}
    source = {"sources": [{"name": "made", "format": "jsonl", "uri": stored.problems}]}
    good = resolved_run(model={"uri": stored.model}, data=source, storage=storage)
    bad = resolved_run(model={"uri": f"{stored.folder}/none"}, data=source, storage=storage)
    key = stored.s3.environment

    checked = run_worker("deepcoder_trainer.preflight", good, tmp_path / "good", environment=key)
    refused = run_worker("deepcoder_trainer.preflight", bad, tmp_path / "bad", environment=key)

    assert (checked.code, checked.message.outcome, checked.message.reason) == (0, "done", "Checked"), checked.log
    assert (refused.code, refused.message.outcome, refused.message.reason) == (64, "permanent", "ModelNotFound")
    assert refused.message.cause.startswith(
        f'spec.model.uri: "{stored.folder}/none": there is no model (no config.json'
    )
