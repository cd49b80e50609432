"""The options of `deepcoder evaluate` as a job, or what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from deepcoder_api.evaluation_benchmarks import Benchmark, BenchmarkKind
from deepcoder_evaluation.job import EvaluationJob

OPTION_OF = {
    "release": "--release",
    "window": "--from, --to",
    "from": "--from",
    "to": "--to",
    "ratingsUri": "--ratings",
    "standingsUri": "--standings",
    "tests": "--tests",
    "maxSubmissions": "--max-submissions",
    "repeats": "--repeats",
}
_KINDS: Mapping[str, BenchmarkKind] = {
    **dict.fromkeys(("release", "window"), "livecodebench"),
    **dict.fromkeys(("ratingsUri", "standingsUri", "tests", "maxSubmissions"), "codeforces"),
}


class RefusedOptionsError(ValueError):
    """What is wrong with the options, a sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def benchmarks_of(given: Sequence[str], settings: Mapping[str, Any], repeats: int) -> tuple[Benchmark, ...]:
    """The benchmarks of `KIND=URI` words; `settings` are fields that each goes to the kind that has it.

    Raises RefusedOptionsError.
    """
    faults: list[str] = []
    found: list[Benchmark] = []
    for word in given:
        kind, _, uri = word.partition("=")
        if kind not in get_args(BenchmarkKind) or not uri:
            faults.append(f'--benchmark: "{word}": must be KIND=URI, KIND one of {", ".join(get_args(BenchmarkKind))}')
            continue
        fields = {name: value for name, value in settings.items() if _KINDS[name] == kind and value is not None}
        try:
            found.append(
                Benchmark.model_validate({"name": kind, "kind": kind, "uri": uri, "repeats": repeats, **fields})
            )
        except ValidationError as error:
            faults += [_told(word, dict(one)) for one in error.errors(include_url=False)]
    kinds = [one.kind for one in found]
    faults += [f"--benchmark: {kind} is given twice" for kind in sorted({k for k in kinds if kinds.count(k) > 1})]
    for name, value in settings.items():
        if value is not None and _KINDS[name] not in kinds and not faults:
            faults.append(f"{OPTION_OF[name]}: is for {_KINDS[name]}, which is not among the benchmarks")
    if faults:
        raise RefusedOptionsError(faults)
    return tuple(found)


def job_faults(job: EvaluationJob, url: str) -> list[str]:
    """What else is wrong: the address, and lengths that cannot be cut."""
    parts = urlsplit(url)
    faults: list[str] = []
    if parts.scheme not in ("http", "https") or not parts.hostname:
        faults.append(f'--url: "{url}": must be http://host:port or https://host, with or without /v1')
    if job.lengths[-1] > job.sampling.max_tokens:
        faults.append(f"--context-length: {job.lengths[-1]} is more than --max-tokens ({job.sampling.max_tokens})")
    if len(job.lengths) > 1 and job.tokenizer is None:
        faults.append(
            "--tokenizer: is needed to cut answers at shorter lengths: hf://organisation/name or file:///folder"
        )
    return faults


def _told(word: str, error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    field = ".".join(str(part) for part in error["loc"])
    for name, option in OPTION_OF.items():
        if message.startswith(f"{name}: "):
            return f"{option}: {message.removeprefix(f'{name}: ')} (of {word.partition('=')[0]})"
    last = str(error["loc"][-1]) if error["loc"] else ""
    return f"{OPTION_OF.get(last, '--benchmark')}: {word if not field or field == 'uri' else field}: {message}"
