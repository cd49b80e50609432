"""A run's report as one page of HTML that needs nothing else: no script, no network, plots as inline SVG."""

from __future__ import annotations

from deepcoder_api.artifacts import RunReport, StepFigures
from deepcoder_data.report_pages import page_environment
from deepcoder_trainer.run_report.plots import HEIGHT, WIDTH, Plot, Value, plot

PARTS = ("sample", "journal", "train", "publish", "wait_for_checkpoint")
"""Parts of a step that are always shown, in this order; others follow by name."""


def run_page(report: RunReport) -> str:
    """The page."""
    environment = page_environment("deepcoder_trainer", "run_report")
    steps = report.steps
    return environment.get_template("run.html.jinja").render(
        report=report,
        plots=plots(report),
        width=WIDTH,
        height=HEIGHT,
        first=steps[0] if steps else None,
        last=steps[-1] if steps else None,
        seconds=sum(sum(figures.seconds.values()) for figures in steps),
        tokens=sum(figures.answer_tokens for figures in steps),
        attempts=len({figures.attempt for figures in steps}),
    )


def plots(report: RunReport) -> list[Plot]:
    """What people look at first, first. A plot of which nothing is known is left out."""
    steps, stages = report.steps, report.stages
    limits = {stage.name: float(stage.max_response_tokens) for stage in stages}
    parts = [*PARTS, *sorted({part for figures in steps for part in figures.seconds} - set(PARTS))]
    drawn = (
        plot("Reward", "mean over answers", [("reward", lambda f: f.reward)], steps, stages, highest=1.0),
        plot("Cut at the limit", "share of answers", [("truncated", lambda f: f.truncated)], steps, stages),
        plot(
            "Response length",
            "tokens",
            [
                ("mean", lambda f: f.answer_tokens / f.answers),
                ("median", lambda f: f.median_answer),
                ("longest", lambda f: f.longest_answer),
                ("limit", lambda f: limits.get(f.stage)),
            ],
            steps,
            stages,
        ),
        plot("Entropy", "nats a token", [("entropy", _training("entropy"))], steps, stages),
        plot(
            "Gap of sampler and trainer",
            "KL divergence, nats a token",
            [("sampler_kl", _training("sampler_kl"))],
            steps,
            stages,
        ),
        plot("Gradient", "norm before clipping", [("norm", _training("gradient_norm"))], steps, stages),
        plot(
            "Groups with a signal",
            "share",
            [("signal", _training("group_signal_fraction"))],
            steps,
            stages,
            highest=1.0,
        ),
        plot("Trainer", "tokens a second", [("tokens", _training("trainer_tokens_per_second"))], steps, stages),
        plot("Model FLOP utilisation", "share of peak", [("MFU", _training("model_flop_utilization"))], steps, stages),
        plot("Time of a step", "seconds by part", [(part, _seconds(part)) for part in parts], steps, stages),
    )
    return [one for one in drawn if one is not None]


def _training(name: str) -> Value:
    return lambda figures: figures.training.get(name)


def _seconds(part: str) -> Value:
    def seconds(figures: StepFigures) -> float | None:
        return figures.seconds.get(part)

    return seconds
