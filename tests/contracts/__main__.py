"""`make contracts`: fetch @asyncapi/parser where it is not yet, and print what it says of the document. Exit 1 for anything that
tests do not know. With --fetch only fetch."""

from __future__ import annotations

import sys

import msgspec
from conformance.fetched import NotThere

from bridge.http.app import asyncapi_document
from contracts import parser


def main() -> int:
    try:
        parser.fetch()
    except NotThere as error:
        print(f"@asyncapi/parser: {error}", file=sys.stderr)
        return 1
    if "--fetch" in sys.argv:
        return 0
    said = parser.parse(msgspec.json.encode(asyncapi_document()))
    for each in said["diagnostics"]:
        print(f"severity {each['severity']} {each['code']}: {each['message']} at {each['path']}")
    print(f"{len(said['operations'])} operations")
    return int(any(each["code"] not in parser.EXPECTED for each in said["diagnostics"]))


if __name__ == "__main__":
    sys.exit(main())
