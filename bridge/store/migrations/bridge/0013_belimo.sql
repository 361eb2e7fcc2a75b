-- What the Belimo-compatible API keeps: its OAuth2 tokens, as hashes, and what people call their devices there.

CREATE TABLE oauth_tokens (
  digest BLOB PRIMARY KEY,        -- SHA-256 of a random 256-bit token
  sort TEXT NOT NULL,             -- access, refresh, or spent: a refresh token that was used
  account TEXT NOT NULL,
  stamp BLOB NOT NULL,            -- the account's key_hash: an account made anew under the same name is another one
  client TEXT NOT NULL,
  scope TEXT NOT NULL,
  family TEXT NOT NULL,           -- all tokens that follow from one login
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER oauth_account_gone AFTER DELETE ON accounts BEGIN
  DELETE FROM oauth_tokens WHERE account = old.name;
END;

CREATE TABLE belimo_metadata (
  device TEXT NOT NULL,
  id TEXT NOT NULL,               -- metadata.1002, …
  value TEXT NOT NULL,            -- JSON
  PRIMARY KEY (device, id)
) WITHOUT ROWID;

CREATE TRIGGER belimo_device_gone AFTER DELETE ON devices BEGIN
  DELETE FROM belimo_metadata WHERE device = old.uid;
END;
