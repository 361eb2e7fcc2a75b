-- Time series: what was measured, one row an asset and instant.

CREATE TABLE assets (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  timezone TEXT,                  -- IANA; NULL: the device's, else the default of the configuration
  first_at INTEGER NOT NULL,      -- oldest and newest timestamp, ms
  last_at INTEGER NOT NULL
);
CREATE INDEX assets_device ON assets (device);

CREATE TABLE points (
  asset INTEGER NOT NULL REFERENCES assets (id),
  name TEXT NOT NULL,
  unit TEXT NOT NULL,
  kind TEXT NOT NULL,             -- gauge; counter: a cumulative register
  PRIMARY KEY (asset, name)
) WITHOUT ROWID;

CREATE TABLE samples (
  asset INTEGER NOT NULL,
  ts INTEGER NOT NULL,            -- ms
  body TEXT NOT NULL,             -- JSON {point: value}
  PRIMARY KEY (asset, ts)
) WITHOUT ROWID;

-- What was answered to an Idempotency-Key, so that a repeat gets the same answer.
CREATE TABLE answers (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  digest BLOB NOT NULL,           -- SHA-256 of the body
  at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  answer TEXT NOT NULL,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);
