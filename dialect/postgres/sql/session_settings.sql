-- Sets the session's settings. An empty value leaves a setting as it is. idle_session_timeout
-- exists since PostgreSQL 14. Asking pg_settings avoids an error on older servers, and on servers
-- that only speak the protocol.
SELECT set_config(name, wanted, false)
FROM (VALUES ('application_name', $1::text), ('idle_session_timeout', $2::text)) AS setting (name, wanted)
WHERE wanted <> ''
  AND name IN (SELECT name FROM pg_settings)
