"""`python -m benchmarks.ablation`: the runs that are not done yet, one after the other, then the file and the plot."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.ablation.plot import draw
from benchmarks.ablation.results import Result, Results
from benchmarks.ablation.runs import Ablation, RunFailedError, specification
from benchmarks.ablation.variants import BUCKET, Variant, documents, variants
from benchmarks.machine import ROOT, describe_machine
from benchmarks.trainer.place import prepared_place

BENCH = ROOT / "build" / "bench"
DOCS_PLOT = ROOT / "docs" / "ablation.svg"
SEEDS = (0, 1, 2)
console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def main() -> int:
    """0: all results are there; 1: a run failed, and the others were made all the same."""
    options, found = _options(), variants()
    chosen = [variant for variant in found if variant.name in options.variants]
    steps = options.steps or found[0].steps
    results, failed = _run_all(options, chosen, steps)
    whole = steps == found[0].steps and len(results) == len(found) * len(SEEDS) and not failed
    if results:
        _write(options, results, failed, steps)
        plot = DOCS_PLOT if whole else BENCH / "ablation.svg"
        draw(results, plot)
        console.print(f"{len(results)} runs: {options.output}, {plot}")
    for reason in failed:
        console.print(reason, style="red")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.ablation", description=__doc__)
    names = [variant.name for variant in variants()]
    parser.add_argument("--variants", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, help="fewer, for a trial; then the plot is no part of docs/")
    parser.add_argument("--output", type=Path, default=BENCH / "ablation.json")
    return parser.parse_args()


def _run_all(options: argparse.Namespace, chosen: Sequence[Variant], steps: int) -> tuple[list[Result], list[str]]:
    """The results by seed, made or found, and why others are lacking."""
    kept, done, failed = Results(BENCH / "ablation"), list[Result](), list[str]()
    with (
        tempfile.TemporaryDirectory(prefix="deepcoder-ablation-") as folder,
        prepared_place(BENCH / "trainer", Path(folder), _say) as place,
    ):
        place.s3.make_bucket(BUCKET)
        ablation = Ablation(place, _say)
        for seed in options.seeds:
            for variant in chosen:
                result = kept.kept(variant.name, seed, specification(*documents(variant, seed, steps)))
                if result is None:
                    try:
                        ablation.upload_base(seed)
                        result = ablation.run(variant, seed, steps)
                    except RunFailedError as error:
                        failed.append(f"{variant.name}, seed {seed}: {error}")
                        continue
                    kept.keep(result)
                done.append(result)
                _say(f"{variant.name}, seed {seed}: pass@1 {result.pass_at_1:.3f}, {result.seconds:.0f} s")
    return done, failed


def _write(options: argparse.Namespace, results: Sequence[Result], failed: Sequence[str], steps: int) -> None:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    conditions = {"steps": steps, "seeds": options.seeds, "machine": describe_machine()}
    options.output.write_text(json.dumps(as_json(results, failed, conditions), indent=1) + "\n")


def as_json(results: Sequence[Result], failed: Sequence[str], conditions: dict[str, Any]) -> dict[str, Any]:
    """By variant the scores and their mean; then every run."""
    names = list(dict.fromkeys(result.variant for result in results))
    scores = {name: [result.pass_at_1 for result in results if result.variant == name] for name in names}
    return {
        "pass_at_1": {
            name: {"mean": round(statistics.fmean(values), 4), "seeds": values} for name, values in scores.items()
        },
        "failed": list(failed),
        "runs": [result.model_dump(exclude={"specification"}) for result in results],
        "conditions": conditions,
    }


def _say(text: str) -> None:
    console.print(text)


if __name__ == "__main__":
    sys.exit(main())
