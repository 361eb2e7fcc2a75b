"""The grammar of MQTT, sans-io, standard library only: framing, packets, topics, the state of a session."""
