-- The settings that Check reports.
SELECT (SELECT journal_mode FROM pragma_journal_mode), (SELECT timeout FROM pragma_busy_timeout),
       (SELECT query_only FROM pragma_query_only)
