-- An answer that is not the final one moves nothing, but belongs in the audit: who reads the history sees how far the device has come.

CREATE TRIGGER commands_progressed AFTER UPDATE OF answer ON commands WHEN old.state = new.state AND new.answers = 0 BEGIN
  INSERT INTO command_events (mid, at, state, code, msg, cause) VALUES (new.mid, new.changed_at, new.state, new.code, new.msg, new.cause);
END;
