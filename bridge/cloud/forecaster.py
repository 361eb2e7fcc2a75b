"""The arithmetic of a forecast, as a process of its own: its library takes 170 MB and seconds to load, which a service for a
small box gives back when it is done. One Question on stdin, one Answer or {"error"} on stdout.

Holt-Winters exponential smoothing (additive season, no trend) of statsmodels, over quarter-hours: Hyndman & Athanasopoulos,
Forecasting: Principles and Practice, 8.3. The season is a day, or a week where there is enough history of one.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import msgspec

DAY = 96
"""Quarter-hours."""
WEEK = 7 * DAY
CYCLES = 2
"""Seasons that the smoothing begins from."""
TEST_DAYS = 3
LEAST = (CYCLES + 1) * DAY
"""Quarter-hours of history without which there is neither a forecast nor an error to show."""
METHOD = "Holt-Winters exponential smoothing, additive season (statsmodels.tsa.holtwinters.ExponentialSmoothing)"


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


def answer(question: Question) -> Answer:
    """Forecast, and how well the same would have done on the last days. Powers are not negative."""
    history, size = question.history, len(question.history)
    season = WEEK if question.weekly and size >= CYCLES * WEEK + DAY else DAY
    days = max(1, min(TEST_DAYS, (size - CYCLES * season) // DAY))
    errors: list[float] = []
    naive: list[float] = []
    actual: list[float] = []
    for day in range(days, 0, -1):
        first = size - day * DAY
        guess = _smooth(history[:first], season, DAY)
        for at in range(DAY):
            if question.measured[first + at]:
                actual.append(history[first + at])
                errors.append(history[first + at] - guess[at])
                naive.append(history[first + at] - history[first + at - DAY])
    count = max(1, len(errors))
    mae = sum(map(abs, errors)) / count
    mean = sum(map(abs, actual)) / count
    return Answer(
        values=[round(value, 3) for value in _smooth(history, season, question.steps)],
        season=season,
        days=days,
        mae=round(mae, 3),
        rmse=round((sum(error * error for error in errors) / count) ** 0.5, 3),
        nmae=round(mae / mean, 4) if mean > 0 else None,
        naive_mae=round(sum(map(abs, naive)) / count, 3),
    )


def _smooth(history: list[float], season: int, steps: int) -> list[float]:
    if min(history) == max(history):
        return [max(0.0, history[-1])] * steps
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best parameters lie at a bound is no news
        model: Any = ExponentialSmoothing(
            history, seasonal="add", seasonal_periods=season, initialization_method="heuristic"
        )
        values = model.fit().forecast(steps)
    found = [max(0.0, float(value)) for value in values]
    if any(value != value for value in found):  # NaN
        raise ValueError("the smoothing did not converge")
    return found


def main() -> None:
    """Answer the question on stdin."""
    os.nice(10)
    try:
        said = msgspec.json.encode(answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Question)))
    except ImportError:
        said = b'{"error":"forecasts need statsmodels: pip install ems-bridge[forecast]"}'
    except ValueError as error:
        said = msgspec.json.encode({"error": str(error)})
    sys.stdout.buffer.write(said)


if __name__ == "__main__":
    main()
