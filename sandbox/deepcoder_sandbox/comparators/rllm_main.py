"""The profile `rllm-main`: rLLM's comparison since 4eeb5565 (20 May 2025), the month after DeepCoder's release.

Source: github.com/rllm-org/rllm, rllm/rewards/code_reward.py, `RewardCodeFn`, read at 9beb6e0f (August 2026): since
that commit every row, be it of TACO, APPS, SYNTHETIC-1 ("primeintellect"), Codeforces or LiveCodeBench, goes through
rLLM's copy of LiveCodeBench's harness (rllm/rewards/code_utils/livecodebench.py). The copy catches less around its
decimal numbers (a word makes it report an error in place of a wrong answer), which changes no acceptance; so the rules
are those of lcb-v5. What differs lies before the comparison: of a TACO or APPS row's list of outputs only the first is
taken (`taco_to_lcb_format`), which is for what reads such rows.
"""

from __future__ import annotations

from deepcoder_sandbox.comparators.lcb_v5 import stdout_matches, values_equal
from deepcoder_sandbox.comparators.rules import Rules

RULES = Rules(stdout_matches, values_equal)
