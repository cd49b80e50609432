"""A dataset's report as a short table of plain text, for the log. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepcoder_api.artifacts import DatasetReport

HEADER = ("source", "read", "kept", "verified", "dropped")


def report_table(report: DatasetReport) -> str:
    """A row for each source, and one for each reason that it lost rows by, under it."""
    rows = [HEADER, *_rows(report)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], _sizes(report), *_difficulty(report)])


def _rows(report: DatasetReport) -> Iterator[tuple[str, ...]]:
    for source in report.sources:
        dropped = sum(drop.count for drop in source.drops)
        yield source.name, str(source.read), str(source.kept), str(source.verified), str(dropped)
        for drop in source.drops:
            yield f"  {drop.reason}", "", "", "", str(drop.count)
    if len(report.sources) > 1:
        read, dropped = sum(report.read.values()), sum(report.dropped.values())
        yield "all", str(read), str(report.problems), str(report.verified), str(dropped)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join([row[0].ljust(len(name)), *numbers]).rstrip()


def _difficulty(report: DatasetReport) -> Iterator[str]:
    if (rated := report.difficulty) is None:
        return
    accepted, cut = f"{rated.mean_pass_rate:.1%}", f"{rated.truncated_fraction:.1%}"
    yield (
        f"Difficulty: of the base model's {rated.samples_per_prompt} answers to each of {rated.problems} problems "
        f"{accepted} were accepted and {cut} were cut at the limit"
    )


def _sizes(report: DatasetReport) -> str:
    return "\n".join(
        f"{one.name}: {one.minimum} to {one.maximum} {one.unit}, median {one.median:g}" for one in report.histograms
    )
