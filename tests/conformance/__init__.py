"""Conformance by suites and clients that others wrote; `make conformance` runs all of it (docs/conformance.md)."""
