-- What sessions say about themselves. MariaDB has this too if its performance_schema is on.
SELECT t.PROCESSLIST_ID,
       MAX(IF(v.VARIABLE_NAME = 'sqllock_holder', CONVERT(v.VARIABLE_VALUE USING utf8mb4), NULL)),
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00',
                     MAX(IF(v.VARIABLE_NAME = 'sqllock_since', CONVERT(v.VARIABLE_VALUE USING utf8mb4), NULL)))
FROM performance_schema.user_variables_by_thread AS v
JOIN performance_schema.threads AS t ON t.THREAD_ID = v.THREAD_ID
WHERE v.VARIABLE_NAME IN ('sqllock_holder', 'sqllock_since')
GROUP BY t.PROCESSLIST_ID
