"""Room for connections: every device has one, and the system counts them as open files."""

from __future__ import annotations

from typing import Final

SPARE: Final = 64
"""Open files beside the connections: logs, tables, the event loop."""


def make_room(connections: int) -> str:
    """Raise the limit of open files, so that so many connections fit; where it may not, what to do."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return ""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ""
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"{connections} connections need {wanted} open files, this process may have {hard}: `ulimit -n {wanted}` first"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return ""
