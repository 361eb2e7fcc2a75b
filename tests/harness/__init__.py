"""What the tests from outside stand on: the real process, a client of their own, a counting sink, messages to send."""
