"""The language that devices and platforms speak: topics, messages, readings. Knows no I/O."""
