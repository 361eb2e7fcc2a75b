-- The ledger: who may come in, what came in, what was asked and how it ended.

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('registry_version', 1);

CREATE TABLE devices (
  uid TEXT PRIMARY KEY,
  product_key TEXT,
  tenant TEXT,
  name TEXT NOT NULL DEFAULT '',
  timezone TEXT,
  signs TEXT NOT NULL DEFAULT '{}',
  secret_hash BLOB,               -- SHA-256 of a random 256-bit secret; NULL: seen on an anonymous broker, cannot log in
  enabled INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  rotated_at INTEGER
) WITHOUT ROWID;

CREATE TABLE accounts (
  name TEXT PRIMARY KEY,
  grants TEXT,                    -- JSON [[scheme, owner], …]; NULL: all
  key_hash BLOB NOT NULL,         -- SHA-256 of a random 256-bit key
  password_hash TEXT,             -- argon2id of a chosen password
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX accounts_key ON accounts (key_hash);

-- The command line changes these tables while the service runs: it watches one number.
CREATE TRIGGER devices_added AFTER INSERT ON devices BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;
CREATE TRIGGER devices_changed AFTER UPDATE ON devices BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;
CREATE TRIGGER devices_removed AFTER DELETE ON devices BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;
CREATE TRIGGER accounts_added AFTER INSERT ON accounts BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;
CREATE TRIGGER accounts_changed AFTER UPDATE ON accounts BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;
CREATE TRIGGER accounts_removed AFTER DELETE ON accounts BEGIN UPDATE meta SET value = value + 1 WHERE key = 'registry_version'; END;

CREATE TABLE presence (
  uid TEXT PRIMARY KEY,
  online INTEGER NOT NULL,
  since INTEGER NOT NULL,
  scheme TEXT
) WITHOUT ROWID;

-- Every post and result as it came. `seq` is given by the bridge, in the order of acceptance.
CREATE TABLE reports (
  seq INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  device TEXT NOT NULL,
  topic TEXT NOT NULL,
  suffix TEXT NOT NULL,
  mid TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX reports_device ON reports (device, seq);

-- The newest report of each sort; these rows outlive retention.
CREATE TABLE latest (
  device TEXT NOT NULL,
  suffix TEXT NOT NULL,
  variant TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (device, suffix, variant)
) WITHOUT ROWID;
CREATE INDEX latest_seq ON latest (seq);

CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  source TEXT NOT NULL,           -- mqtt, mirror
  device TEXT,
  topic TEXT,
  sender TEXT,                    -- kind:name of the principal
  reason TEXT NOT NULL,
  path TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  payload BLOB NOT NULL,
  context TEXT NOT NULL DEFAULT '{}',
  replayed_at INTEGER
);
CREATE INDEX dead_letters_device ON dead_letters (device, id);

CREATE TABLE commands (
  mid TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  suffix TEXT NOT NULL,           -- feature/action/command
  prefix TEXT NOT NULL,           -- the prefix that the command came on
  sub_device TEXT NOT NULL DEFAULT '',
  changes INTEGER NOT NULL,
  immediate INTEGER NOT NULL,     -- the caller asked for `now`
  digest BLOB NOT NULL,           -- of device, suffix, sub-device and data: same mid, same digest = same command
  payload TEXT NOT NULL,
  sender TEXT NOT NULL,
  via TEXT NOT NULL,              -- mqtt, http
  state TEXT NOT NULL,
  cause TEXT NOT NULL DEFAULT '',
  code INTEGER,
  msg TEXT NOT NULL DEFAULT '',
  answer TEXT,
  answers INTEGER NOT NULL DEFAULT 0,
  timeout_ms INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  hold_until INTEGER NOT NULL,
  sent_at INTEGER,
  delivered_at INTEGER,
  deadline INTEGER,
  settled_at INTEGER,
  changed_at INTEGER NOT NULL,
  number INTEGER NOT NULL         -- order of acceptance
) WITHOUT ROWID;
CREATE INDEX commands_open ON commands (state) WHERE state IN ('accepted', 'sent', 'delivered');
CREATE INDEX commands_device ON commands (device, number);
CREATE INDEX commands_number ON commands (number);

CREATE TABLE command_events (
  id INTEGER PRIMARY KEY,
  mid TEXT NOT NULL,
  at INTEGER NOT NULL,
  state TEXT NOT NULL,
  code INTEGER,
  msg TEXT NOT NULL,
  cause TEXT NOT NULL
);
CREATE INDEX command_events_mid ON command_events (mid, id);

-- The audit follows the row in the same transaction, whoever changes it.
CREATE TRIGGER commands_accepted AFTER INSERT ON commands BEGIN
  INSERT INTO command_events (mid, at, state, code, msg, cause) VALUES (new.mid, new.created_at, new.state, new.code, new.msg, new.cause);
END;
CREATE TRIGGER commands_moved AFTER UPDATE OF state ON commands WHEN old.state <> new.state BEGIN
  INSERT INTO command_events (mid, at, state, code, msg, cause) VALUES (new.mid, new.changed_at, new.state, new.code, new.msg, new.cause);
END;
