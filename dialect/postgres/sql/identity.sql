-- Reads the identifier that all databases of a server and its physical replicas share. Every role
-- may read it unless that was revoked.
SELECT system_identifier::text FROM pg_control_system()
