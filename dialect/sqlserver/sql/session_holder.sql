-- The holder of the lock. The server shows the first 32 characters of a resource's name, which are
-- half of a hash. It knows the time of the login only in local time.
SELECT s.session_id, s.program_name, s.host_name, s.context_info,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), SYSUTCDATETIME())
       - DATEDIFF_BIG(microsecond, s.login_time, GETDATE())
FROM sys.dm_tran_locks AS l
JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id
WHERE l.resource_type = 'APPLICATION'
  AND l.resource_database_id = DB_ID()
  AND l.request_status = 'GRANT'
  AND l.resource_description LIKE CONCAT(N'%', LEFT(@p1, 32), N'%')
ORDER BY s.login_time;
