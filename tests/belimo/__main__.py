"""`make belimo`: fetch the vendor's npm client, and its OpenAPI document with it, where they are not there yet."""

from __future__ import annotations

import sys

from conformance.fetched import NotThere

from belimo import connector


def main() -> int:
    try:
        print(connector.fetch())
    except NotThere as error:
        print(f"{connector.PACKAGE}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
