"""`python -m benchmarks.evaluation.memory ENGINE SANDBOX TOKENIZER PROBLEMS FOLDER`: an evaluation's peak of memory.

A process of its own for each number of answers, as a peak never goes down. All answers are in flight at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from benchmarks.evaluation.runs import Setting, seconds_of
from benchmarks.machine import process_mib

LONGEST = 65536


def main() -> None:
    """Print peak MiB before and after as JSON."""
    engine, sandbox, tokenizer, problems, folder = sys.argv[1:]
    setting = Setting(Path(problems), Path(tokenizer), engine, sandbox)
    count = len(Path(problems).read_text().splitlines())
    before = round(process_mib("VmHWM"), 1)
    seconds = asyncio.run(seconds_of(setting, setting.job((16384, 32768, LONGEST), count), Path(folder)))
    print(
        json.dumps(
            {
                "answers": count,
                "mib_before": before,
                "mib": round(process_mib("VmHWM"), 1),
                "seconds": round(seconds, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
