"""Strategies tried for HTTP: checked here, run by the simulator in a process of its own, one at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import simulator
from bridge.errors import BridgeError, Exhausted, Unprocessable
from schemas.errors import Invalid
from simulator.evaluate import check

log = logging.getLogger(__name__)

LIMIT_S = 120.0
"""A year takes some ten seconds of a core; a process that takes longer than this on a busy machine is ended."""


class Evaluations:
    """One evaluation at a time; whoever comes meanwhile is told to come again."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._busy = False
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False

    async def __call__(self, strategy: Any, site: Mapping[str, Any], days: int) -> bytes:
        """The Evaluation as JSON. Raises Unprocessable (paths begin at `$.strategy` or `$.site`), Exhausted."""
        if self._stopped:
            raise Exhausted("stopping", "the bridge is about to stop")
        if self._busy:
            raise Exhausted("busy", "another evaluation is running; only one runs at a time")
        self._busy = True
        try:
            try:
                await asyncio.to_thread(check, strategy, site, "$.strategy", "$.site")
            except Invalid as wrong:
                raise Unprocessable("invalid", wrong.detail, wrong.path) from None
            return await self._run(msgspec.json.encode({"strategy": strategy, "site": dict(site), "days": days}))
        finally:
            self._busy = False

    def stop(self) -> None:
        """End what runs, and take no more."""
        self._stopped = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _run(self, asked: bytes) -> bytes:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulator.evaluator", env=_environment(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._limit_s):
                found, trouble = await process.communicate(asked)
        except TimeoutError:
            raise Exhausted(
                "too_long", f"the evaluation took more than {self._limit_s:g} s; ask for fewer days"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if self._stopped:
            raise Exhausted("stopping", "the bridge is about to stop")
        if process.returncode:
            log.error("an evaluation failed: %s", trouble.decode(errors="replace"))
            raise BridgeError("the evaluation failed")
        return found


def _environment() -> dict[str, str]:
    """The child's: it imports the same simulator, wherever that was found."""
    home = str(Path(simulator.__file__ or "").parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
