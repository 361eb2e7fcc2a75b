-- A UUID is the same in upper and lower case, with and without hyphens: `mid` is its one spelling, `spelling` its sender's where that is another.
ALTER TABLE commands ADD COLUMN spelling TEXT NOT NULL DEFAULT '';

CREATE TEMP TABLE spelled AS
SELECT mid AS was, substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-' || substr(hex, 13, 4) || '-' || substr(hex, 17, 4) || '-' || substr(hex, 21) AS mid
FROM (SELECT mid, replace(replace(replace(replace(lower(mid), 'urn:uuid:', ''), '{', ''), '}', ''), '-', '') AS hex FROM commands)
WHERE length(hex) = 32 AND hex NOT GLOB '*[^0-9a-f]*';
DELETE FROM spelled WHERE was = mid;
-- Where two commands had one UUID in two spellings both stay, each under its own.
DELETE FROM spelled WHERE mid IN (SELECT mid FROM commands) OR mid IN (SELECT mid FROM spelled GROUP BY mid HAVING count(*) > 1);
UPDATE command_events SET mid = (SELECT mid FROM spelled WHERE was = command_events.mid) WHERE mid IN (SELECT was FROM spelled);
UPDATE commands SET spelling = mid, mid = (SELECT mid FROM spelled WHERE was = commands.mid) WHERE mid IN (SELECT was FROM spelled);
DROP TABLE spelled;

DROP TRIGGER webhook_command;
CREATE TRIGGER webhook_command AFTER UPDATE OF state ON commands
WHEN old.state <> new.state AND new.state NOT IN ('accepted', 'sent', 'delivered') AND EXISTS (SELECT 1 FROM webhooks WHERE active)
BEGIN
  INSERT INTO webhook_events (at, device, samples) VALUES (new.changed_at, new.device, json_object(
    'id', lower(hex(randomblob(16))), 'type', 'command', 'at', new.changed_at, 'device', new.device, 'data', json_object(
      'mid', CASE new.spelling WHEN '' THEN new.mid ELSE new.spelling END,
      'command', substr(new.suffix, 1, length(new.suffix) - length('/command')), 'state', new.state, 'code', new.code, 'msg', new.msg,
      'cause', new.cause, 'answer', CASE WHEN json_valid(new.answer) THEN json(new.answer) ELSE new.answer END,
      'sender', new.sender, 'via', new.via, 'created_at', new.created_at, 'settled_at', new.settled_at)));
END;

-- How far the moves of commands were told on their status topics: what is behind it is told after a crash.
INSERT INTO meta SELECT 'statuses_told', coalesce(max(id), 0) FROM command_events;
