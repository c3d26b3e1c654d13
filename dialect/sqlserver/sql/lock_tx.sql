-- Takes a lock for the caller's transaction, waiting for so many milliseconds. The owner is named, and so is the
-- database: see try_session.sql.
DECLARE @resource nvarchar(255) = CONCAT(@p1, N' ', DB_NAME()), @mode varchar(32) = @p2, @wait int = @p3,
        @status int;
EXEC @status = sp_getapplock @Resource = @resource, @LockMode = @mode, @LockOwner = 'Transaction', @LockTimeout = @wait;
SELECT @status;
