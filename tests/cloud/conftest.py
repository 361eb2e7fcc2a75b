"""Fixtures of this room; what they give is in cloud_served.py."""

from cloud_places import place, places
from cloud_served import serve, served

__all__ = ["place", "places", "serve", "served"]
