-- MQTT 5: sessions that expire, options of subscriptions, properties and expiry of messages, shared subscriptions.

-- Seconds that the session outlives its connection; 4294967295 is never, as for a persistent session of MQTT 3.1.1.
ALTER TABLE mqtt_sessions ADD COLUMN expiry INTEGER NOT NULL DEFAULT 4294967295;
-- When its connection ended, epoch ms; NULL while it is open, and after a crash.
ALTER TABLE mqtt_sessions ADD COLUMN left_at INTEGER;

-- mqtt_subscriptions.qos holds the option byte of MQTT 5, whose lowest two bits are the QoS, and the identifier above it.

-- Properties as they stand in a PUBLISH; expires is epoch ms, 0 never.
ALTER TABLE mqtt_messages ADD COLUMN properties BLOB NOT NULL DEFAULT x'';
ALTER TABLE mqtt_messages ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mqtt_retained ADD COLUMN properties BLOB NOT NULL DEFAULT x'';
ALTER TABLE mqtt_retained ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;

-- Subscription identifiers, separated by spaces, and the shared subscription that the message came by.
ALTER TABLE mqtt_queue ADD COLUMN identifiers TEXT NOT NULL DEFAULT '';
ALTER TABLE mqtt_queue ADD COLUMN shared TEXT NOT NULL DEFAULT '';
