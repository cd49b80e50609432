"""docs/metrics.md has every metric of a run, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

from deepcoder_sandbox.client_metrics import ClientMetrics
from deepcoder_trainer.orchestrator.metrics import RunMetrics

PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def test_every_metric_of_a_run_is_on_the_page() -> None:
    """By the name under which Prometheus has it, with its labels."""
    metrics = RunMetrics()
    ClientMetrics(metrics.registry)
    named = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.registry.collect()
    }
    told = dict(re.findall(r"`(deepcoder_[a-z0-9_]+)(?:\{([a-z]+)\})?`", PAGE.read_text()))
    assert set(told) == named
