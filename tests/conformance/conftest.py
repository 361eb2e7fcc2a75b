"""Assertions of the script say what they compared."""

import pytest

pytest.register_assert_rewrite("conformance.script", "conformance.peers_python", "conformance.peers_process")
