"""`python -m benchmarks.evaluation.memory ENGINE SANDBOX TOKENIZER PROBLEMS FOLDER`: an evaluation's peak of memory.

A process of its own for each number of answers, as a peak never goes down. All answers are in flight at once.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from benchmarks.evaluation.runs import Setting, seconds_of

LONGEST = 65536


def main() -> None:
    """Print peak MiB before and after as JSON."""
    engine, sandbox, tokenizer, problems, folder = sys.argv[1:]
    setting = Setting(Path(problems), Path(tokenizer), engine, sandbox)
    count = len(Path(problems).read_text().splitlines())
    before = _peak_mib()
    seconds = asyncio.run(seconds_of(setting, setting.job((16384, 32768, LONGEST), count), Path(folder)))
    print(json.dumps({"answers": count, "mib_before": before, "mib": _peak_mib(), "seconds": round(seconds, 1)}))


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
