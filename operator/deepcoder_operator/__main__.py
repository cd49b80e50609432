"""`python -m deepcoder_operator`: the operator as a process. Exit code 64: it cannot start, and a retry is no use."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import structlog

from deepcoder_api.lifecycle import EXIT_PERMANENT, EXIT_RETRYABLE
from deepcoder_operator import logs
from deepcoder_operator.cluster import Cluster, ClusterUnknownError, connect
from deepcoder_operator.errors import ClusterError, RefusedError, RetryableError
from deepcoder_operator.runtime import Runtime
from deepcoder_operator.schema_check import OldDefinitionsError, check_definitions
from deepcoder_operator.settings import Settings, SettingsError, read_settings

START_SECONDS = 300.0
START_PAUSE_SECONDS = 2.0

_log = structlog.get_logger()


def main() -> int:
    """Run the operator. Returns the exit code."""
    logs.configure(os.environ.get("DEEPCODER_LOG_LEVEL", "INFO").upper())
    try:
        settings = read_settings(os.environ)
        asyncio.run(_run(settings))
    except (SettingsError, ClusterUnknownError, OldDefinitionsError, RefusedError) as error:
        _log.error("cannot start", error=str(error))
        return EXIT_PERMANENT
    except ClusterError as error:
        _log.error("cannot go on", error=str(error))
        return EXIT_RETRYABLE
    _log.info("ended")
    return 0


async def _run(settings: Settings) -> None:
    async with connect() as cluster:
        await _check(cluster)
        await Runtime(cluster, settings).run()


async def _check(cluster: Cluster) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return await check_definitions(cluster)
        except RetryableError as error:
            if time.monotonic() > deadline:
                raise
            _log.warning("waiting for the API server", error=str(error))
            await asyncio.sleep(START_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
