"""Bytes that nobody should send, to the codec, to a whole broker and to a running service; `make fuzz` for long."""
