"""What a local run refuses before it starts anything, and the order of what it accepts."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.manifest import Resource, parse_resource
from deepcoder_cli.local.refusals import in_order, refusals
from tests.resource_documents import Document, evaluation, training_run

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
WITH_SECRET: dict[str, Any] = {"storage": {"uri": "s3://bucket/prefix", "secretName": "s3-credentials"}}
OF_RUN: dict[str, Any] = {"model": {"trainingRun": {"name": "tiny"}}}


def parsed(*documents: Document) -> list[Resource]:
    """The resources of the documents."""
    return [parse_resource(document) for document in documents]


@pytest.mark.parametrize(
    ("documents", "secrets", "said"),
    [
        ([training_run()], {}, []),
        ([training_run(**WITH_SECRET)], KEYS, []),
        ([training_run(), evaluation(**OF_RUN)], {}, []),
        (
            [training_run(model={"uri": "pvc://claim/model"})],
            {},
            ['spec.model.uri: "pvc://claim/model": a claim is a cluster\'s; use s3://, hf:// or file:// here'],
        ),
        (
            [evaluation(**OF_RUN)],
            {},
            ['spec.model.trainingRun.name: "tiny" is not among the given files; give its file too'],
        ),
        (
            [training_run(), evaluation(model={"trainingRun": {"name": "tiny", "checkpoint": {"best": {}}}})],
            {},
            ['spec.model.trainingRun.checkpoint.best: the run "tiny" has no validation to choose one by'],
        ),
        (
            [training_run(**WITH_SECRET)],
            {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": ""},
            [
                'spec.storage.secretName: "s3-credentials": the variable AWS_SECRET_ACCESS_KEY stands in for the '
                "Secret here, and is not set"
            ],
        ),
        (
            [evaluation(model={"uri": "hf://a/b", "secretName": "hub"})],
            KEYS,
            ['spec.model.secretName: "hub": the variable HF_TOKEN stands in for the Secret here, and is not set'],
        ),
        ([evaluation(suspend=True)], {}, ["spec.suspend: true: it is not to run; leave its file out, or set it to"]),
        ([evaluation(serve=True)], {}, ["spec.serve: true: a Service is a cluster's; here an engine ends"]),
        (
            [evaluation(model={"endpoint": {"url": "https://host", "name": "m", "secretName": "openai"}})],
            {},
            ['spec.model.endpoint.secretName: "openai": the variable OPENAI_API_KEY stands in for the Secret here'],
        ),
        ([training_run(**WITH_SECRET), evaluation(**WITH_SECRET)], {}, [*["spec.storage.secretName"] * 4]),
    ],
)
def test_refusals(documents: list[Document], secrets: dict[str, str], said: list[str]) -> None:
    """A sentence for each thing in the way, with the resource, the field and its value."""
    found = refusals(parsed(*documents), secrets)
    assert len(found) == len(said)
    assert all(text in sentence for text, sentence in zip(said, found, strict=True))
    names = [f"{document['kind']}/{document['metadata']['name']}: " for document in documents]
    assert all(any(sentence.startswith(name) for name in names) for sentence in found)


def test_what_is_needed_comes_first() -> None:
    """Evaluations of given models, then runs, then evaluations of what the runs made; else as given."""
    given = parsed(
        evaluation("after", **OF_RUN), training_run("tiny"), evaluation("second-base"), evaluation("base")
    )  # fmt: skip
    assert [resource.metadata.name for resource in in_order(given)] == ["second-base", "base", "tiny", "after"]
