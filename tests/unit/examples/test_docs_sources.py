"""docs/sources.md says what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from deepcoder_api.training_run import DataSpec, ProblemFormat
from deepcoder_api.yaml_text import load_documents
from deepcoder_data.formats import FORMATS

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "sources.md").read_text()


def test_its_example_is_accepted() -> None:
    """With the scalar rules of kubectl, by which a date is text."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (document,) = load_documents(block)

    assert len(DataSpec.model_validate(document["data"]).sources) == 3


def test_its_table_has_every_format_and_the_columns_that_are_read() -> None:
    """Of the project's own schema the table names the file."""
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", TEXT, re.MULTILINE))

    assert set(rows) == set(get_args(ProblemFormat)) == set(FORMATS)
    for format, columns in rows.items():
        if format != "jsonl":
            assert set(re.split(r", | or ", columns)) == FORMATS[format].columns
