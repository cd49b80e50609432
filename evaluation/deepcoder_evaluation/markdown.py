"""The scores as a Markdown table for a model card, with what they were measured by. Pure."""

from __future__ import annotations

from deepcoder_api.evaluation_report import BenchmarkReport, EvaluationReport, LengthScore


def markdown_table(report: EvaluationReport) -> str:
    """A table, a row for each benchmark and response limit, and two lines on how it was measured."""
    lines = [
        "| Benchmark | Problems | Response tokens | pass@1 (95 % interval) | Cut at the limit | Also |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for benchmark in report.benchmarks:
        lines += [_row(benchmark, score) for score in benchmark.scores]
    sampling, grader = report.sampling, report.grader
    prompt = "a system prompt" if sampling.system_prompt else "no system prompt"
    lines += [
        "",
        f"Sampled at temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, {sampling.samples_per_prompt} "
        f"answer(s) a problem, {prompt}, seed {sampling.seed}; {report.engine.kind} {report.engine.version}.",
        f"Graded by profile {grader.profile}, {grader.limits.timeout_seconds:g} s a test, in {grader.isolation}; model "
        f"{report.model.digest or report.model.uri}.",
    ]
    return "\n".join(lines) + "\n"


def _row(benchmark: BenchmarkReport, score: LengthScore) -> str:
    low, high = score.interval
    name = " ".join([benchmark.name, *(f"{key} {value}" for key, value in benchmark.settings.items() if key in _SHOWN)])
    also = [f"{subset} {100 * value:.1f} %" for subset, value in score.subsets.items()]
    also += [f"pass@{k} {100 * value:.1f} %" for k, value in score.pass_at_k.items() if k != "1"]
    if score.rating is not None:
        also.append(f"rating {score.rating:.0f}")
    if score is benchmark.final and benchmark.rating is not None and benchmark.rating.percentile is not None:
        also.append(f"percentile {benchmark.rating.percentile}")
    return (
        f"| {name} | {benchmark.problems} | {score.tokens:,}{'' if score.exact else ' (approximate)'} "
        f"| {100 * score.pass_at_1:.1f} ({100 * low:.1f} to {100 * high:.1f}) "
        f"| {100 * score.truncated_fraction:.1f} % | {', '.join(also) or '–'} |"
    )


_SHOWN = ("release", "from", "to")
