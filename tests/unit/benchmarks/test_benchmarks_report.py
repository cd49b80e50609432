"""The report's arithmetic, on made-up measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from benchmarks.machine import cpu_model, default_platform
from benchmarks.process_tree import private_mib
from benchmarks.sandbox import report
from benchmarks.sandbox.measure import DifferentVerdictError, Throughput, check, takes
from benchmarks.sandbox.ours import Graded
from benchmarks.sandbox.report import Measured, Sample
from benchmarks.sandbox.workload import CELLS, Cell, Outcome, Submission, make_workload

STDIN, CALL = Cell("stdin", 10, False), Cell("call", 10, False)


def measured(**rates: float) -> Measured:
    """Two cores; each way has done the named programs per second on all cells."""
    samples = {way: {cell: [Sample(int(10 * rate), 10.0)] for cell in CELLS} for way, rate in rates.items()}
    return Measured(2, samples)


def test_rate_is_the_median_of_samples_per_core() -> None:
    """20, 10 and 40 programs a second on two cores."""
    found = Measured(2, {"way": {STDIN: [Sample(40, 2.0), Sample(10, 1.0), Sample(40, 1.0)]}})
    assert found.rate("way", STDIN) == 10.0


def test_ratio_is_the_geometric_mean_over_cells_that_both_have_done() -> None:
    """4 and 9 give 6; a cell of one alone does not count."""
    found = Measured(
        1,
        {
            "ours": {STDIN: [Sample(4, 1.0)], CALL: [Sample(9, 1.0)], CELLS[0]: [Sample(100, 1.0)]},
            "peer": {STDIN: [Sample(1, 1.0)], CALL: [Sample(1, 1.0)]},
        },
    )
    assert report.ratio(found, "ours", "peer", CELLS) == pytest.approx(6.0)
    assert math.isnan(report.ratio(found, "ours", "peer", [CELLS[0]]))


def test_first_level_names_ours_over_each_other_way() -> None:
    """Throughput ratios: higher is better for ours."""
    found = measured(ours_gvisor=40, ours_native=80, lcb=20, lcb_lean=40, fresh_process=4, container_per_program=2)
    found.samples["ours_native"][CALL] = [Sample(400, 10.0)]
    figures = report.summary(found)
    assert figures["ratio_fresh_numpy"] == figures["ratio_fresh_plain"] == 10.0
    assert figures["ratio_container"] == 20.0
    assert figures["ratio_lcb_gvisor_call"] == figures["ratio_lcb_gvisor_stdin"] == 2.0
    assert figures["ratio_lcb_lean_gvisor_stdin"] == 1.0
    # The lower of stdin (4) and calls (4 in five cells, 2 in one); lean: 2 on stdin.
    assert figures["ratio_lcb_native"] == pytest.approx(4 * 0.5 ** (1 / 6), rel=1e-3)
    assert figures["ratio_lcb_lean_native"] == 2.0
    assert figures["ratios_by_cell"]["lcb"][CALL.name] == {"ours_gvisor": 2.0, "ours_native": 2.0}
    assert "programs_per_second_per_core" not in figures


def test_overhead_is_core_time_less_own_time() -> None:
    """Two cores do 40 programs a second: 50 ms of core time each, of which 20 are the program's."""
    found = measured(ours_gvisor=40)
    found.own_seconds = {f"{STDIN.name}-0-x": 0.01, f"{STDIN.name}-1-y": 0.03, f"{CALL.name}-0-x": 9.0}
    figures = report.cell_figures(found, "ours_gvisor", STDIN)
    assert figures["core_ms_per_program"] == 50.0
    assert figures["own_ms_per_program"] == 20.0
    assert figures["overhead_ms_per_program"] == 30.0


def test_latencies_beside_own_times() -> None:
    """p99 of latencies over p99 of own times, and what is added."""
    found = Measured(2, own_seconds={"a": 0.010, "b": 0.100})
    found.latencies[2] = [("a", 0.030), ("b", 0.150)]
    assert report.latency_over_own_time(found, 2) == pytest.approx(1.5)
    figures = report.latency_figures(found, 2)
    assert (figures["p50_ms"], figures["p99_ms"]) == (30.0, 150.0)
    assert (figures["added_p50_ms"], figures["added_p99_ms"]) == (20.0, 50.0)


def test_percentiles_are_values_that_were_seen() -> None:
    """By rank, without interpolation."""
    assert report.percentile(range(1, 101), 50) == 50
    assert report.percentile(range(1, 101), 99) == 99
    assert report.percentile([7.0], 99) == 7.0


def test_memory_growth_ignores_single_readings() -> None:
    """Medians of the first and the last three."""
    assert report.memory_growth([100, 180, 101, 120, 103, 104, 90]) == 2


def test_what_could_not_be_measured_is_null() -> None:
    """JSON has no NaN."""
    assert report.rounded(math.nan) is None
    assert report.rounded(1234.56) == 1235.0


def test_workload_figures() -> None:
    """Shares of what was graded."""
    figures = report.workload_figures(make_workload(4))
    assert figures["programs"] == 4 * (4 + 2 + 2)
    assert figures["failing"] == pytest.approx(12 / 32, rel=1e-3)
    assert figures["numpy"] == 0.5
    assert figures["stdin_shareable"] == 1.0


class StatedWay:
    """Comes to the outcomes that the workload states, in a given time per pass."""

    def __init__(self, workload: dict[Cell, list[Submission]], seconds: float, wrong: bool = False) -> None:
        self.name = "stated"
        self.calls: list[int] = []
        self._workload, self._seconds, self._wrong = workload, seconds, wrong

    def grade(self, cell: Cell, times: int) -> Graded:
        """As in Way."""
        self.calls.append(times)
        outcomes = [Outcome("time_limit", 1) if self._wrong else one.outcome for one in self._workload[cell]]
        return Graded(self._seconds * times, outcomes * times)


@pytest.mark.parametrize(
    ("seconds", "calls", "samples"),
    [(0.5, [1, 4, 4, 4], 3), (4.0, [1, 1], 2), (9.0, [1], 1)],
    ids=["fast: many times, without the trial", "slow: until it has its time", "slower: its trial is its sample"],
)
def test_slow_ways_grade_fewer_programs(seconds: float, calls: Sequence[int], samples: int) -> None:
    """About six seconds each."""
    cell = CELLS[0]
    workload = {cell: make_workload(2)[cell]}
    way, found = StatedWay(workload, seconds), Measured(1)
    Throughput([way], workload, 6.0, found, lambda text: None).run()
    assert way.calls == calls
    assert len(found.samples["stated"][cell]) == samples
    assert found.rate("stated", cell) == pytest.approx(2 / seconds)


def test_another_verdict_ends_the_run() -> None:
    """What is compared must be the same work."""
    cell = CELLS[0]
    workload = {cell: make_workload(2)[cell]}
    with pytest.raises(DifferentVerdictError, match=r"stated on stdin-1-plain-0.*time_limit"):
        Throughput([StatedWay(workload, 1.0, wrong=True)], workload, 6.0, Measured(1), lambda text: None).run()
    with pytest.raises(ValueError, match="shorter"):
        check("way", workload[cell], [])


def test_cells_that_are_left_out() -> None:
    """Minutes of fresh numpy processes, and the leaner way where it is the same."""
    assert not takes("fresh_process", Cell("stdin", 100, True))
    assert takes("fresh_process", Cell("stdin", 100, False))
    assert not takes("lcb_lean", CALL)


def test_machine_is_read_from_what_it_says() -> None:
    """The processor's name, gVisor's platform, a process's memory."""
    assert cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert default_platform('  -platform string\n    \tspecifies x (default "systrap")\n') == "systrap"
    assert private_mib("Pss: 9000 kB\nPss_Anon:  1024 kB\nPss_File: 1024 kB\nPss_Shmem: 5000 kB\n") == 2.0
