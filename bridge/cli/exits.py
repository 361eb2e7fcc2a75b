"""Exit codes of every command."""

from __future__ import annotations

OK = 0
REJECTED = 1
"""send: the device answered with another code than 200."""
TROUBLE = 1
"""Any other command: it was understood and failed (a damaged file, a service that cannot go on)."""
WRONG = 2
"""A wrong option, file or value, or no bridge to talk to: one line on stderr says which."""
TIMED_OUT = 3
"""send: no answer before the deadline."""
NOT_RUN = 4
"""send: expired, undeliverable or cancelled; the device never got it."""
OPEN = 5
"""send --no-wait: accepted, the outcome is still open."""
INTERRUPTED = 130
PIPE_CLOSED = 141
