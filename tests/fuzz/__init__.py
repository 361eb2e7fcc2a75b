"""Bytes that nobody should send, to every decoder, to a whole broker and to a running service; `make fuzz` for long."""
