"""The orchestrator: cursor, rollouts, grading, journal, checkpoints and progress of a run. No torch here."""
