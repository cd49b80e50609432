"""From what was measured to the figures that are reported. Pure."""

from __future__ import annotations

import ast
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.sandbox.workload import CELLS, Cell, Submission
from deepcoder_sandbox.shareable import shareable

OURS_GVISOR, OURS_NATIVE = "ours_gvisor", "ours_native"
LCB, LCB_LEAN, FRESH, CONTAINER = "lcb", "lcb_lean", "fresh_process", "container_per_program"


@dataclass(frozen=True)
class Sample:
    """Some programs graded in one go."""

    programs: int
    seconds: float


@dataclass
class Measured:
    """All that one run has seen. Seconds of wall clock, MiB."""

    cores: int
    samples: dict[str, dict[Cell, list[Sample]]] = field(default_factory=dict)
    own_seconds: dict[str, float] = field(default_factory=dict)
    mix: list[Sample] = field(default_factory=list)
    latencies: dict[int, list[tuple[str, float]]] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    wire_bytes: dict[str, float] = field(default_factory=dict)
    soak_mib: list[float] = field(default_factory=list)
    soak: Sample | None = None

    def rate(self, way: str, cell: Cell) -> float:
        """Programs per second and core: the median of the samples."""
        return statistics.median(_rate(sample, self.cores) for sample in self.samples[way][cell])


def summary(measured: Measured) -> dict[str, Any]:
    """The figures of a run; what was not measured is left out."""
    figures: dict[str, Any] = {name: rounded(value) for name, value in _ratios(measured).items()}
    if measured.mix:
        figures["programs_per_second_per_core"] = rounded(
            statistics.median(_rate(sample, measured.cores) for sample in measured.mix)
        )
    if measured.cores in measured.latencies:
        figures["p99_over_own_time"] = rounded(latency_over_own_time(measured, measured.cores))
    if measured.soak_mib:
        figures["memory_growth_mib"] = rounded(memory_growth(measured.soak_mib))
    figures["ways"] = {
        way: {cell.name: cell_figures(measured, way, cell) for cell in sorted(cells)}
        for way, cells in measured.samples.items()
    }
    figures["ratios_by_cell"] = {peer: ratios_by_cell(measured, peer) for peer in (LCB, LCB_LEAN, FRESH, CONTAINER)}
    figures["latency"] = {str(count): latency_figures(measured, count) for count in measured.latencies}
    figures["memory_mib"] = {name: rounded(value) for name, value in measured.memory_mib.items()}
    figures["wire_bytes"] = {name: rounded(value) for name, value in measured.wire_bytes.items()}
    if measured.soak:
        figures["soak"] = {
            "programs": measured.soak.programs,
            "seconds": rounded(measured.soak.seconds),
            "memory_mib": [rounded(value) for value in measured.soak_mib],
        }
    return figures


def _ratios(measured: Measured) -> dict[str, float]:
    stdin = [cell for cell in CELLS if cell.kind == "stdin"]
    call = [cell for cell in CELLS if cell.kind == "call"]
    ten = [cell for cell in stdin if cell.tests == 10]
    numpy = [cell for cell in CELLS if cell.numpy]
    plain = [cell for cell in CELLS if not cell.numpy]
    both_kinds = {
        peer: min(ratio(measured, OURS_NATIVE, peer, stdin), ratio(measured, OURS_NATIVE, LCB, call))
        for peer in (LCB, LCB_LEAN)
    }
    return {
        "ratio_fresh_numpy": ratio(measured, OURS_GVISOR, FRESH, numpy),
        "ratio_fresh_plain": ratio(measured, OURS_GVISOR, FRESH, plain),
        "ratio_container": ratio(measured, OURS_GVISOR, CONTAINER, CELLS),
        "ratio_lcb_native": both_kinds[LCB],
        "ratio_lcb_lean_native": both_kinds[LCB_LEAN],
        "ratio_lcb_gvisor_call": ratio(measured, OURS_GVISOR, LCB, call),
        "ratio_lcb_gvisor_stdin": ratio(measured, OURS_GVISOR, LCB, ten),
        "ratio_lcb_lean_gvisor_stdin": ratio(measured, OURS_GVISOR, LCB_LEAN, ten),
    }


def ratio(measured: Measured, way: str, peer: str, cells: Iterable[Cell]) -> float:
    """How many times the throughput of `peer` a way has: the geometric mean over the cells that both have done."""
    done = measured.samples.get(way, {}).keys() & measured.samples.get(peer, {}).keys()
    logs = [math.log(measured.rate(way, cell) / measured.rate(peer, cell)) for cell in cells if cell in done]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def ratios_by_cell(measured: Measured, peer: str) -> dict[str, dict[str, float | None]]:
    """Throughput of ours over that of `peer`, in gVisor and natively, on each cell that both have done."""
    both: dict[str, dict[str, float | None]] = {}
    for cell in measured.samples.get(peer, {}):
        ours = {way: rounded(ratio(measured, way, peer, [cell])) for way in (OURS_GVISOR, OURS_NATIVE)}
        both[cell.name] = ours
    return both


def cell_figures(measured: Measured, way: str, cell: Cell) -> dict[str, Any]:
    """Throughput of a way on a cell, and what that leaves of core time per program beside the program's own."""
    samples = measured.samples[way][cell]
    milliseconds = 1000 / measured.rate(way, cell)
    figures = {
        "programs_per_second_per_core": rounded(measured.rate(way, cell)),
        "samples": [rounded(_rate(sample, measured.cores)) for sample in samples],
        "programs": sum(sample.programs for sample in samples),
        "core_ms_per_program": rounded(milliseconds),
    }
    own = [seconds for id, seconds in measured.own_seconds.items() if id.startswith(f"{cell.name}-")]
    if own:
        own_milliseconds = 1000 * statistics.fmean(own)
        figures["own_ms_per_program"] = rounded(own_milliseconds)
        figures["overhead_ms_per_program"] = rounded(milliseconds - own_milliseconds)
    return figures


def latency_figures(measured: Measured, in_flight: int) -> dict[str, Any]:
    """Of a closed loop: milliseconds from asking to having the grade, and what of it is not the program's own."""
    pairs = measured.latencies[in_flight]
    latencies = [1000 * seconds for _, seconds in pairs]
    added = [1000 * (seconds - measured.own_seconds[id]) for id, seconds in pairs]
    return {
        "programs": len(pairs),
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
        "added_p50_ms": rounded(percentile(added, 50)),
        "added_p99_ms": rounded(percentile(added, 99)),
    }


def latency_over_own_time(measured: Measured, in_flight: int) -> float:
    """The 99th percentile of latencies over that of the same programs' own times."""
    pairs = measured.latencies[in_flight]
    latencies = [seconds for _, seconds in pairs]
    own = [measured.own_seconds[id] for id, _ in pairs]
    return percentile(latencies, 99) / percentile(own, 99)


def memory_growth(mib: Sequence[float]) -> float:
    """From the median of the first three readings to that of the last three."""
    return statistics.median(mib[-3:]) - statistics.median(mib[:3])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of a hundred values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def rounded(value: float) -> float | None:
    """Four digits that count; None for what could not be measured, which JSON has no number for."""
    return None if math.isnan(value) else float(f"{value:.4g}")


def _rate(sample: Sample, cores: int) -> float:
    return sample.programs / sample.seconds / cores


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of the first level, as texts for a table."""
    return [(name, f"{value:g}") for name, value in figures.items() if isinstance(value, int | float)]


def workload_figures(workload: Mapping[Cell, Sequence[Submission]]) -> dict[str, Any]:
    """What was graded: how many programs, and which share fails, has numpy, runs all stdin tests in one process."""
    programs = [one for cell in workload.values() for one in cell]
    stdin = [one for one in programs if one.cell.kind == "stdin"]
    return {
        "programs": len(programs),
        "failing": rounded(statistics.fmean(one.outcome.verdict != "accepted" for one in programs)),
        "numpy": rounded(statistics.fmean(one.cell.numpy for one in programs)),
        "stdin_shareable": rounded(statistics.fmean(shareable(ast.parse(one.program)) for one in stdin)),
    }
