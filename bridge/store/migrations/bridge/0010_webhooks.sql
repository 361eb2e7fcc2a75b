-- Events on their way to webhooks: one line an event, written in the transaction of what it tells, whoever causes it.
-- Nothing is written while no webhook is configured.

CREATE TABLE webhook_events (
  seq INTEGER PRIMARY KEY,        -- rises in the order of COMMIT
  at INTEGER NOT NULL,
  device TEXT NOT NULL,           -- '' for none
  samples TEXT NOT NULL           -- JSON {id, type, at, device, data}: the body that is posted; beside it `to`, where only one is meant
);

-- As `sinks` and `outbox_drops`.
CREATE TABLE webhooks (
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL DEFAULT 0,
  batch_end INTEGER,
  batch_format TEXT NOT NULL DEFAULT '',
  settled INTEGER NOT NULL DEFAULT 0,
  active INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

CREATE TABLE webhook_drops (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  sink TEXT NOT NULL,
  cause TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  lines INTEGER NOT NULL
);

CREATE TRIGGER webhook_command AFTER UPDATE OF state ON commands
WHEN old.state <> new.state AND new.state NOT IN ('accepted', 'sent', 'delivered') AND EXISTS (SELECT 1 FROM webhooks WHERE active)
BEGIN
  INSERT INTO webhook_events (at, device, samples) VALUES (new.changed_at, new.device, json_object(
    'id', lower(hex(randomblob(16))), 'type', 'command', 'at', new.changed_at, 'device', new.device, 'data', json_object(
      'mid', new.mid, 'command', substr(new.suffix, 1, length(new.suffix) - length('/command')), 'state', new.state, 'code', new.code, 'msg', new.msg,
      'cause', new.cause, 'answer', CASE WHEN json_valid(new.answer) THEN json(new.answer) ELSE new.answer END,
      'sender', new.sender, 'via', new.via, 'created_at', new.created_at, 'settled_at', new.settled_at)));
END;

CREATE TRIGGER webhook_dead_letter AFTER INSERT ON dead_letters
WHEN new.source <> 'webhook' AND EXISTS (SELECT 1 FROM webhooks WHERE active)
BEGIN
  INSERT INTO webhook_events (at, device, samples) VALUES (new.at, coalesce(new.device, ''), json_object(
    'id', lower(hex(randomblob(16))), 'type', 'dead_letter', 'at', new.at, 'device', new.device, 'data', json_object(
      'dead_letter', new.id, 'source', new.source, 'reason', new.reason, 'path', new.path, 'detail', new.detail,
      'topic', new.topic, 'sender', new.sender)));
END;

CREATE TRIGGER webhook_presence_first AFTER INSERT ON presence WHEN EXISTS (SELECT 1 FROM webhooks WHERE active)
BEGIN
  INSERT INTO webhook_events (at, device, samples) VALUES (new.since, new.uid, json_object(
    'id', lower(hex(randomblob(16))), 'type', 'presence', 'at', new.since, 'device', new.uid, 'data', json_object(
      'online', json(CASE WHEN new.online THEN 'true' ELSE 'false' END), 'since', new.since, 'scheme', new.scheme)));
END;

CREATE TRIGGER webhook_presence AFTER UPDATE OF online ON presence
WHEN old.online <> new.online AND EXISTS (SELECT 1 FROM webhooks WHERE active)
BEGIN
  INSERT INTO webhook_events (at, device, samples) VALUES (new.since, new.uid, json_object(
    'id', lower(hex(randomblob(16))), 'type', 'presence', 'at', new.since, 'device', new.uid, 'data', json_object(
      'online', json(CASE WHEN new.online THEN 'true' ELSE 'false' END), 'since', new.since, 'scheme', new.scheme)));
END;
