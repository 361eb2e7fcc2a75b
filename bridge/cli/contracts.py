"""schema: the contract documents, generated from the message Structs."""

from __future__ import annotations

import json

import click


@click.group()
def schema() -> None:
    """Print a contract document."""


@schema.command()
def asyncapi() -> None:
    """AsyncAPI 3: topics and messages of devices and platforms."""
    from bridge.http.app import asyncapi_document

    _print(asyncapi_document())


@schema.command()
def openapi() -> None:
    """OpenAPI 3.1: the HTTP routes."""
    from bridge.http.app import openapi_document

    _print(openapi_document())


@schema.command()
@click.argument("kind", required=False)
def jsonschema(kind: str | None) -> None:
    """JSON Schema of one message KIND (such as alarm/details/post), or of all."""
    from schemas import export, kinds

    if kind is None:
        _print(export.jsonschemas())
        return
    found = [row for row in kinds.KINDS if kind in (row.key, row.suffix)]
    if not found:
        import difflib

        near = difflib.get_close_matches(kind, [row.key for row in kinds.KINDS], n=3, cutoff=0.4)
        raise click.UsageError(f"there is no kind {kind!r}" + (f"; near: {', '.join(near)}" if near else ""))
    _print(export.jsonschema(found[0]) if len(found) == 1 else {row.key: export.jsonschema(row) for row in found})


def _print(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
