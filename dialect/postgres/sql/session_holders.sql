-- Reads the holders of session locks, for messages. pg_locks shows a 64-bit key in two halves, with
-- objsubid 1.
SELECT DISTINCT ON (asked.place)
       asked.place, lock.pid::bigint, coalesce(nullif(activity.application_name, ''), activity.usename::text),
       host(activity.client_addr), (extract(epoch FROM activity.backend_start) * 1000000)::bigint
FROM unnest($1::text::bigint[]) WITH ORDINALITY AS asked (key, place)
JOIN pg_locks AS lock
  ON lock.locktype = 'advisory'
 AND lock.granted
 AND lock.objsubid = 1
 AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 AND lock.classid::bigint = (asked.key >> 32) & 4294967295
 AND lock.objid::bigint = asked.key & 4294967295
LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
ORDER BY asked.place, activity.backend_start
