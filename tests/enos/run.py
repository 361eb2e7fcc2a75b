"""Run as `python run.py FOLDER MODULE FUNCTION`, with a JSON object on stdin: {"pubkey": our key or null, "arguments": {…}}. The
sample is as the vendor has it, and prints what it gets."""

import importlib
import json
import sys

import poseidon.poseidon


def main() -> None:
    folder, module, function = sys.argv[1:]
    told = json.load(sys.stdin)
    if told["pubkey"]:
        poseidon.poseidon.pubkey = told["pubkey"].encode()
    sys.path.insert(0, folder)
    getattr(importlib.import_module(module), function)(**told["arguments"])


if __name__ == "__main__":
    main()
