-- Readings that are no longer new, one blob a column (a point of an asset) and UTC day; see bridge/store/columns.py. What `samples`
-- holds beside them counts more. Nothing is moved here: the service folds `samples` step by step while it runs.

CREATE TABLE columns (
  number INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES assets (id),
  point TEXT NOT NULL,
  UNIQUE (asset, point)
);

CREATE TABLE chunks (
  id INTEGER PRIMARY KEY,         -- number of the column << 22 | day since 1970
  body BLOB NOT NULL
);
