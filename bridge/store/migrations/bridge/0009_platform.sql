-- What the vendor's platform API keeps: of devices what the registry does not know, and strategies as devices took or told them.

CREATE TABLE platform_devices (
  device TEXT PRIMARY KEY,
  license_code TEXT UNIQUE,       -- who knows it may bind the device
  code INTEGER NOT NULL DEFAULT 0,
  location TEXT NOT NULL DEFAULT '',
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE platform_strategies (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  device TEXT NOT NULL,
  sort TEXT NOT NULL,
  remote INTEGER,                 -- the device's own id; NULL where it has none
  slot INTEGER NOT NULL,          -- lowest free number of its sort on the device, from 0
  body TEXT NOT NULL,             -- JSON, with the API's values
  at INTEGER NOT NULL             -- when the device took or told it
);
CREATE UNIQUE INDEX platform_strategies_remote ON platform_strategies (device, sort, remote);

CREATE TRIGGER platform_device_gone AFTER DELETE ON devices BEGIN
  DELETE FROM platform_devices WHERE device = old.uid;
  DELETE FROM platform_strategies WHERE device = old.uid;
END;

-- Alarms are few among millions of reports, and asked for by device.
CREATE INDEX reports_alarms ON reports (device, seq) WHERE suffix = 'alarm/details/post';
