"""The client of a bridge, for platform backends: typed commands, events, readings. docs/client.md is its manual.

Over HTTP (`HttpClient`) or MQTT 5 (`MqttClient`); a device's commands are the same calls on both.
"""

from bridge.client.command import Options
from bridge.client.features import Device
from bridge.client.http import HttpClient
from bridge.client.mqtt import MqttClient, Received
from bridge.client.outcome import Outcome
from bridge.client.shapes import Command, DeviceDetail, DeviceInfo, Event, Reading, Readings, Stored
from schemas.notices import OPEN

__all__ = [
    "OPEN",
    "Command",
    "Device",
    "DeviceDetail",
    "DeviceInfo",
    "Event",
    "HttpClient",
    "MqttClient",
    "Options",
    "Outcome",
    "Reading",
    "Readings",
    "Received",
    "Stored",
]
