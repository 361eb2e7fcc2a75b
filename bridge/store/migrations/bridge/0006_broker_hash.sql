-- The same secrets as another broker's password file wants them: only their makers see them, so the hash is made with them.
ALTER TABLE devices ADD COLUMN broker_hash TEXT;
ALTER TABLE accounts ADD COLUMN broker_hash TEXT;
