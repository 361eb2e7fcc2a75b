"""`make enos`: fetch the vendor's Python samples where they are not there yet."""

from __future__ import annotations

import sys

from conformance.fetched import run

from enos import samples

if __name__ == "__main__":
    sys.exit(run(samples.fetch, "sample-code-python"))
