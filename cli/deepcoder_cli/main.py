"""The `deepcoder` command: run, evaluate, report, grade, validate, plan, watch, samples, crds."""

from __future__ import annotations

import typer

from deepcoder_cli import crds, evaluate, grade, plan, report, run, samples, validate, watch

app = typer.Typer(
    name="deepcoder",
    help="Train and measure coding models by reinforcement learning on code that is really run.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("grade")(grade.grade)
app.command("validate")(validate.validate)
app.command("plan")(plan.plan)
app.command("watch")(watch.watch)
app.command("samples")(samples.samples)
app.command("crds")(crds.crds)
