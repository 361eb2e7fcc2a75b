"""The arithmetic of a forecast, as a process of its own: its library takes 170 MB and seconds to load, which a service for a
small box gives back when it is done. One Question on stdin, one Answer or {"error"} on stdout.

Holt-Winters exponential smoothing (with a season, without a trend) of statsmodels, over quarter-hours: Hyndman & Athanasopoulos,
Forecasting: Principles and Practice, 8.3. The season is a day, or a week where there is enough history of one.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

DAY = 96
"""Quarter-hours."""
WEEK = 7 * DAY
CYCLES = 2
"""Seasons that the smoothing begins from."""
TEST_DAYS = 3
LEAST = (CYCLES + 1) * DAY
"""Quarter-hours of history without which there is neither a forecast nor an error to show."""
ODDS = 0.95
"""A season that multiplies is preferred, unless it missed by more: it leaves a site that never rests some power at night."""
METHOD = "Holt-Winters exponential smoothing with a season (statsmodels.tsa.holtwinters.ExponentialSmoothing)"


class Question(msgspec.Struct):
    """`history`: a mean power for each quarter-hour, without gaps; `measured`: which of them were; `steps`: how far."""

    history: list[float]
    measured: list[bool]
    steps: int
    weekly: bool


class Answer(msgspec.Struct):
    """The coming `steps`, and errors over the last `days`; see http.vendor_shapes.Accuracy."""

    values: list[float]
    season: int
    days: int
    mae: float
    rmse: float
    nmae: float | None
    naive_mae: float


class _Errors(NamedTuple):
    """What a method missed by, quarter-hour by quarter-hour, what was measured, and what repeating the day before missed by."""

    missed: list[float]
    actual: list[float]
    naive: list[float]

    @property
    def mae(self) -> float:
        return _mean(map(abs, self.missed))


def answer(question: Question) -> Answer:
    """Forecast, and how well the same would have done on the last days. The season adds or, where there is always some power,
    multiplies: what has missed by less. Powers are not negative."""
    history, size = question.history, len(question.history)
    season = WEEK if question.weekly and size >= CYCLES * WEEK + DAY else DAY
    days = max(1, min(TEST_DAYS, (size - CYCLES * season) // DAY))
    sorts = ("add", "mul") if min(history) > 0 else ("add",)
    tested = {sort: _tested(question, season, sort, days) for sort in sorts}
    sort = min(tested, key=lambda sort: tested[sort].mae * (ODDS if sort == "mul" else 1.0))
    errors = tested[sort]
    mean = _mean(map(abs, errors.actual))
    return Answer(
        values=[round(value, 3) for value in _smooth(history, season, sort, question.steps)],
        season=season,
        days=days,
        mae=round(errors.mae, 3),
        rmse=round(_mean(error * error for error in errors.missed) ** 0.5, 3),
        nmae=round(errors.mae / mean, 4) if mean > 0 else None,
        naive_mae=round(_mean(map(abs, errors.naive)), 3),
    )


def _tested(question: Question, season: int, sort: str, days: int) -> _Errors:
    """Each of the last days, forecast from what came before it."""
    history, size = question.history, len(question.history)
    errors = _Errors([], [], [])
    for day in range(days, 0, -1):
        first = size - day * DAY
        guess = _smooth(history[:first], season, sort, DAY)
        for at in range(first, first + DAY):
            if question.measured[at]:
                errors.missed.append(history[at] - guess[at - first])
                errors.actual.append(history[at])
                errors.naive.append(history[at] - history[at - DAY])
    return errors


def _smooth(history: list[float], season: int, sort: str, steps: int) -> list[float]:
    if min(history) == max(history):
        return [max(0.0, history[-1])] * steps
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best parameters lie at a bound is no news
        model: Any = ExponentialSmoothing(
            history, seasonal=sort, seasonal_periods=season, initialization_method="heuristic"
        )
        values = model.fit().forecast(steps)
    found = [max(0.0, float(value)) for value in values]
    if not all(map(math.isfinite, found)):
        raise ValueError("the smoothing did not converge")
    return found


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))


def main() -> None:
    """Answer the question on stdin."""
    os.nice(10)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no matrix here is large
    try:
        said = msgspec.json.encode(answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Question)))
    except ImportError:
        said = b'{"error":"forecasts need statsmodels: pip install ems-bridge[forecast]"}'
    except ValueError as error:
        said = msgspec.json.encode({"error": str(error)})
    sys.stdout.buffer.write(said)


if __name__ == "__main__":
    main()
