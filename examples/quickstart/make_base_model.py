"""Make the quickstart's base model and its problems, and put them where the YAML files beside this look for them.

    python make_base_model.py --seed 0 --uri s3://deepcoder/quickstart/base-0 --endpoint http://127.0.0.1:8333

writes <uri>/training.jsonl, <uri>/held-out.jsonl and <uri>/model, whose complete.json comes last: without it the model
does not exist, and with it a second call does nothing. `--to FOLDER` writes to a folder of this machine instead.
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. A seed is another base model over the same problems.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tasks import held_out_problems, training_problems

from deepcoder_api.problems import Problem
from deepcoder_data.folders import commit_folder, read_completion
from deepcoder_data.store import ObjectStore, StoreError

TRAINING_FILE = "training.jsonl"
HELD_OUT_FILE = "held-out.jsonl"
MODEL_FOLDER = "model"


def write_problems(folder: Path) -> None:
    """Write both files of problems, one problem a line."""
    for name, problems in ((TRAINING_FILE, training_problems()), (HELD_OUT_FILE, held_out_problems())):
        (folder / name).write_text(jsonl(problems))
        print(f"{name}: {len(problems)} problems", flush=True)


def jsonl(problems: Sequence[Problem]) -> str:
    """The problems in the project's own schema, one a line."""
    return "".join(problem.model_dump_json(exclude_none=True) + "\n" for problem in problems)


def write_model(folder: Path, seed: int, steps: int | None) -> None:
    """Warm-start the model of `seed` and write it to `folder` in the Hugging Face layout."""
    import warm_start  # imports torch, which takes seconds

    model, tokenizer = warm_start.warm_start(seed, steps or warm_start.STEPS)
    warm_start.save(model, tokenizer, folder)


def upload(local: Path, uri: str, store: ObjectStore, seed: int) -> None:
    """Put the problems, then the model with its marker last. Raises StoreError."""
    for name in (TRAINING_FILE, HELD_OUT_FILE):
        store.upload_file(local / name, f"{uri}/{name}")
    completion = commit_folder(store, local / MODEL_FOLDER, f"{uri}/{MODEL_FOLDER}", {"seed": str(seed)})
    print(f"{uri}/{MODEL_FOLDER}: {len(completion.files)} files, {completion.total_bytes:,} bytes", flush=True)


def make(folder: Path, seed: int, steps: int | None) -> None:
    """Write problems and model to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_problems(folder)
    write_model(folder / MODEL_FOLDER, seed, steps)


def main() -> None:
    """Make what is not there yet. Exit code 1 with one sentence when the store refuses."""
    arguments = _arguments()
    started = time.monotonic()
    if arguments.to is not None:
        make(arguments.to, arguments.seed, arguments.steps)
    else:
        try:
            _make_in_store(arguments)
        except StoreError as error:
            sys.exit(f"cannot write the base model: {error}")
    print(f"done in {time.monotonic() - started:.0f} s", flush=True)


def _make_in_store(arguments: argparse.Namespace) -> None:
    uri, store = arguments.uri.rstrip("/"), ObjectStore(arguments.endpoint, arguments.region)
    store.check_bucket(uri)
    if read_completion(store, f"{uri}/{MODEL_FOLDER}") is not None:
        print(f"{uri}/{MODEL_FOLDER} is complete: nothing to do", flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="quickstart-") as folder:
        make(Path(folder), arguments.seed, arguments.steps)
        upload(Path(folder), uri, store, arguments.seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the quickstart's base model and problems.")
    parser.add_argument("--seed", type=int, default=0, help="which base model")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--uri", help="s3://bucket/prefix to write under")
    place.add_argument("--to", type=Path, help="a folder to write to instead")
    parser.add_argument("--endpoint", help="URL of an S3 server that is not AWS's own")
    parser.add_argument("--region", default="us-east-1", help="region that requests are signed for")
    parser.add_argument("--steps", type=int, help="steps of the warm start, fewer for a quick and worse model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
