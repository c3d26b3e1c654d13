-- Says to whom the session belongs, for people who look at sys.dm_exec_sessions.
DECLARE @holder varbinary(128) = @p1;
SET CONTEXT_INFO @holder;
