"""Answers that a test has written beforehand, by command."""

from __future__ import annotations

from typing import NamedTuple

from simulator.strategies import Answer

ANY = "*"
"""Whatever the command."""


class Scripted(NamedTuple):
    """What to say: `answer` (None: nothing at all), so many seconds later; `acts`: do first what an honest device does, and
    say what that comes to."""

    answer: Answer | None = None
    after_s: float = 0.0
    acts: bool = False


class Script:
    """Scripted answers by `feature/action`. The first that is left of a command's own is taken, then of those for any."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[Scripted, int | None]]] = {}

    def add(self, command: str, line: Scripted, times: int | None = None) -> None:
        """Say this from now on: so many times, or always, instead of what was to be said always."""
        lines = [each for each in self._lines.get(command, ()) if each[1] is not None]
        self._lines[command] = [*lines, (line, times)]

    def clear(self) -> None:
        """No script."""
        self._lines.clear()

    def take(self, command: str) -> Scripted | None:
        """What to say now to this command; None: what an honest device says."""
        for name in (command, ANY):
            lines = self._lines.get(name)
            if not lines:
                continue
            line, times = lines[0]
            if times is not None:
                lines[0] = (line, times - 1)
                if times <= 1:
                    del lines[0]
            return line
        return None
