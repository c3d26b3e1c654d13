-- Records the owner of the session, for people who read sys.dm_exec_sessions.
DECLARE @holder varbinary(128) = @p1;
SET CONTEXT_INFO @holder;
