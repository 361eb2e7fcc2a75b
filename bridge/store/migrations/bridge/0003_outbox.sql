-- The outbox: readings on their way to HTTP sinks, one line a stored report.

CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY,        -- rises in the order of COMMIT
  at INTEGER NOT NULL,            -- when the report was received, ms
  device TEXT NOT NULL,
  samples TEXT NOT NULL           -- JSON [[asset, timestamp, {point: value}], …]
);

CREATE TABLE sinks (
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL DEFAULT 0,    -- all lines up to here are settled
  batch_end INTEGER,                    -- last line of the batch that is being posted; fixed before its first attempt
  batch_format TEXT NOT NULL DEFAULT '',
  settled INTEGER NOT NULL DEFAULT 0,   -- leading rows of that batch that are settled already (a bad row among them was buried)
  active INTEGER NOT NULL DEFAULT 1     -- 0: no longer configured; it holds nothing back
) WITHOUT ROWID;

-- What the outbox gave up because of its bounds: nothing vanishes without a line here.
CREATE TABLE outbox_drops (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  sink TEXT NOT NULL,
  cause TEXT NOT NULL,                  -- bytes, age
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  lines INTEGER NOT NULL
);
