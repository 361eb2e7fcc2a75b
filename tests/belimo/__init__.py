"""The Belimo-compatible API under what the vendor and others wrote; `make belimo` fetches it."""
