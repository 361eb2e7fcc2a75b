-- What the broker must know again after a restart: persistent sessions, what they wait for, retained messages.
-- Ids are given by the broker; a session's id is never used again, so rows of an ended session cannot meet a new one.

CREATE TABLE mqtt_sessions (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,             -- of the principal
  name TEXT NOT NULL,
  client_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE mqtt_subscriptions (
  session INTEGER NOT NULL,
  filter TEXT NOT NULL,
  qos INTEGER NOT NULL,
  PRIMARY KEY (session, filter)
) WITHOUT ROWID;

CREATE TABLE mqtt_messages (
  id INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  payload BLOB NOT NULL
);

-- One row for each message that a session has not finished; the packet id is fixed when the row is written.
CREATE TABLE mqtt_queue (
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  message INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  released INTEGER NOT NULL DEFAULT 0   -- PUBREC came: PUBREL is sent, never the PUBLISH again
);
CREATE INDEX mqtt_queue_session ON mqtt_queue (session);

-- QoS 2 packet ids that were stored and not released by the client.
CREATE TABLE mqtt_inbound (
  session INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY (session, packet_id)
) WITHOUT ROWID;

CREATE TABLE mqtt_retained (
  topic TEXT PRIMARY KEY,
  message INTEGER NOT NULL,       -- equal for a topic and its twins
  qos INTEGER NOT NULL,
  payload BLOB NOT NULL
);
