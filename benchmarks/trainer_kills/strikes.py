"""Strikes one after the other, each on a run that has healed from the one before; what each did and cost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.trainer_kills.faults import Fault, NothingToStrikeError, Scene
from benchmarks.trainer_kills.local_run import EndedError, LocalRun
from benchmarks.trainer_kills.schedule import Strike

# The first step includes the start of everything; later ones whatever a fault costs on a machine that is busy.
START_SECONDS = 900.0
HEAL_SECONDS = 900.0


@dataclass(frozen=True)
class Struck:
    """One strike, at `step`. `seconds_to_recover`: from its end to a step that was begun after it."""

    fault: str
    what: str
    step: int
    attempts: int
    seconds_to_recover: float


class Strikes:
    """Carries out a schedule. `say` gets a line for each strike."""

    def __init__(
        self,
        run: LocalRun,
        scene: Scene,
        faults: Mapping[str, Fault],
        say: Callable[[str], None],
        *,
        max_staleness: int,
    ) -> None:
        self._run = run
        # What was sampled before the strike may still be trained on; the step after that needs all parts again.
        self._steps_to_heal = max_staleness + 2
        self._scene = scene
        self._faults = faults
        self._say = say
        self.done: list[Struck] = []
        self.violations: list[str] = []

    async def carry_out(self, planned: Sequence[Strike]) -> None:
        """All of them, until the run ends or does not heal; then `violations` says so."""
        for number, strike in enumerate(planned, start=1):
            try:
                struck = await self._strike(strike, START_SECONDS if number == 1 else HEAL_SECONDS)
            except (EndedError, NothingToStrikeError, TimeoutError) as error:
                why = str(error) or f"not healed within {HEAL_SECONDS:.0f} s"
                self.violations.append(f"strike {number} of {len(planned)} ({strike.fault}): {why}")
                return
            self.done.append(struck)
            self._judge(number, struck)
            self._say(
                f"{number}/{len(planned)} {struck.fault}: {struck.what}; at step {struck.step}, healed after "
                f"{struck.seconds_to_recover:.1f} s, {struck.attempts} new attempts"
            )

    async def _strike(self, strike: Strike, wait_seconds: float) -> Struck:
        told, fault = self._run.told, self._faults[strike.fault]
        await self._run.until(max(1, strike.not_before), 1, wait_seconds)
        await asyncio.sleep(strike.delay_steps * told.seconds_per_step)
        if self._run.code is not None:
            raise EndedError(f"the run had ended at step {told.step}")
        before = told.attempt
        what = await fault.strike(self._scene, random.Random(strike.choice))
        step, ended = told.step, time.monotonic()
        await self._run.until(step + self._steps_to_heal, before + fault.least_attempts, HEAL_SECONDS)
        return Struck(strike.fault, what, step, told.attempt - before, time.monotonic() - ended)

    def _judge(self, number: int, struck: Struck) -> None:
        most = self._faults[struck.fault].most_attempts
        if struck.attempts > most:
            self.violations.append(
                f"strike {number} ({struck.fault}): it cost {struck.attempts} attempts, and may cost {most}"
            )
