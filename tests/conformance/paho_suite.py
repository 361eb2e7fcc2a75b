"""Runs one file of eclipse/paho.mqtt.testing in this process: `python paho_suite.py FILE PORT [TEST…]`.

The file is a script that takes its port from the command line and keeps topics in globals of `__main__`; here it is a module
whose globals are set. One line `RESULT {"test": …, "outcome": …, "why": …}` a test, among what the suite itself prints.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from pathlib import Path
from types import TracebackType
from typing import Any

TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
WILDCARDS = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
PREFIX = {"client_test": "", "client_test5": "client_test5/"}
"""As the files' own `__main__` sets them."""
WHY = 3000
"""Characters kept of what a failed test said."""

Problem = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Lines(unittest.TestResult):
    """A line for each test."""

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        bad = [text for each, text in (*self.errors, *self.failures) if each is test]
        if bad:
            say(test, "failed", bad[0])
        elif not any(each is test for each, _ in self.skipped):
            say(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        say(test, "skipped", reason)

    def addError(self, test: unittest.TestCase, err: Problem) -> None:  # noqa: N802
        super().addError(test, err)
        if not isinstance(test, unittest.TestCase):  # setUpClass: stopTest never comes
            say(test, "failed", self.errors[-1][1])


def say(test: Any, outcome: str, why: str = "") -> None:
    name = getattr(test, "_testMethodName", str(test))
    print(
        "\nRESULT", json.dumps({"test": name, "outcome": outcome, "why": why[-WHY:]}), file=sys.__stdout__, flush=True
    )


def main() -> int:
    file, port = Path(sys.argv[1]), int(sys.argv[2])
    sys.path.insert(0, str(file.parent))
    suite = importlib.import_module(file.stem)
    prefix = PREFIX[file.stem]
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "topic_prefix": prefix,
        "topics": [prefix + topic for topic in TOPICS],
        "wildtopics": [prefix + topic for topic in WILDCARDS],
        "nosubscribe_topics": ("test/nosubscribe",),
    }
    for name, value in settings.items():
        setattr(suite, name, value)
    result = Lines()
    result.buffer = True  # what a test prints stands behind its failure
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f"*.{name}" for name in sys.argv[3:]] or None
    loader.loadTestsFromModule(suite).run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
