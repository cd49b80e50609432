"""Scores and comparisons as tables of a terminal. Pure."""

from __future__ import annotations

from rich.table import Table

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_evaluation.comparison import Comparison


def scores_table(report: EvaluationReport) -> Table:
    """One line for each benchmark and response limit."""
    table = Table(title=f"{report.model.name}, profile {report.grader.profile}")
    for name in ("benchmark", "problems", "response tokens", "pass@1", "95 % interval", "cut at the limit", "also"):
        table.add_column(name, justify="left" if name in ("benchmark", "also") else "right")
    for one in report.benchmarks:
        for score in one.scores:
            low, high = score.interval
            also = [f"{name} {value:.1%}" for name, value in score.subsets.items()]
            also += [f"pass@{k} {value:.1%}" for k, value in score.pass_at_k.items() if k != "1"]
            if score.rating is not None:
                also.append(f"rating {score.rating:.1f}")
            if one.rating is not None and score is one.final:
                also.append(f"percentile {one.rating.percentile}, {one.rating.tests} tests")
            table.add_row(
                one.name,
                str(one.problems),
                f"{score.tokens:,}" + ("" if score.exact else " (approximate)"),
                f"{score.pass_at_1:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{score.truncated_fraction:.1%}",
                ", ".join(also),
            )
    return table


def comparison_lines(name: str, found: Comparison) -> list[str]:
    """What a comparison says, a sentence each."""
    low, high = found.interval
    verdict = "more than noise" if found.is_more_than_noise else "no more than noise"
    lines = [
        f"{name}: pass@1 {found.first:.1%} and {found.second:.1%} over the {found.problems} problems of both",
        f"  difference {found.difference:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}, "
        f"p = {found.p_value:.3g}: {verdict}",
    ]
    if found.only_a or found.only_b:
        lines.append(f"  left out: {found.only_a} problems of the first alone, {found.only_b} of the second alone")
    for title, problems in (("solved by the second alone", found.gained), ("by the first alone", found.lost)):
        lines.append(f"  {title} ({len(problems)}): {', '.join(problems) or 'none'}")
    return lines
