"""Fixtures of this room; what they give is in cloud_served.py."""

from cloud_served import serve, served

__all__ = ["serve", "served"]
