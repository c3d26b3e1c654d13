-- Takes a lock for the caller's transaction, and waits for up to the given milliseconds. The owner
-- and the database are named explicitly: see try_session.sql.
DECLARE @resource nvarchar(255) = CONCAT(@p1, N' ', DB_NAME()), @mode varchar(32) = @p2, @wait int = @p3,
        @status int;
EXEC @status = sp_getapplock @Resource = @resource, @LockMode = @mode, @LockOwner = 'Transaction', @LockTimeout = @wait;
SELECT @status;
