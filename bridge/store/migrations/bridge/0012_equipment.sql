-- Statistics of equipment: what its parts did, when it had faults, and what people tell of it.

-- A part of a device told the same state from `at` to `until` (its own clock, ms), never silent for longer than allowed.
CREATE TABLE equipment_runs (
  device TEXT NOT NULL,
  part TEXT NOT NULL,             -- as in the names of assets; '' for the device itself
  at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  state INTEGER NOT NULL,         -- 1 running, 2 fault, 3 both, 0 neither
  PRIMARY KEY (device, part, at)
) WITHOUT ROWID;

CREATE TABLE equipment_alarms (
  device TEXT NOT NULL,
  name TEXT NOT NULL,             -- what tells it from the device's other alarms
  at INTEGER NOT NULL,
  until INTEGER,                  -- NULL while nobody has handled it
  PRIMARY KEY (device, name)
) WITHOUT ROWID;
CREATE INDEX equipment_alarms_at ON equipment_alarms (device, at);

CREATE TABLE equipment_events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  device TEXT NOT NULL,
  id TEXT NOT NULL,               -- its sender's
  type TEXT NOT NULL,             -- follow, sample, training
  at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  approved INTEGER NOT NULL,
  user TEXT NOT NULL,
  note TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX equipment_events_id ON equipment_events (device, id);
CREATE INDEX equipment_events_at ON equipment_events (device, at);

CREATE TRIGGER equipment_gone AFTER DELETE ON devices BEGIN
  DELETE FROM equipment_runs WHERE device = old.uid;
  DELETE FROM equipment_alarms WHERE device = old.uid;
  DELETE FROM equipment_events WHERE device = old.uid;
END;

-- How far stored messages were looked through.
INSERT INTO meta VALUES ('equipment_seen', 0);
