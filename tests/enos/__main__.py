"""`make enos`: fetch the vendor's Python samples where they are not there yet."""

from __future__ import annotations

import sys

from conformance.fetched import NotThere

from enos import samples


def main() -> int:
    try:
        print(samples.fetch())
    except NotThere as error:
        print(f"sample-code-python: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
