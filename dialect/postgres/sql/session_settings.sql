-- Empty: left as it is. idle_session_timeout is there since PostgreSQL 14; asking pg_settings spares older servers, and
-- those that only speak the protocol, an error.
SELECT set_config(name, wanted, false)
FROM (VALUES ('application_name', $1::text), ('idle_session_timeout', $2::text)) AS setting (name, wanted)
WHERE wanted <> ''
  AND name IN (SELECT name FROM pg_settings)
