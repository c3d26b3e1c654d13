-- Lets go of a lock, if the session has it. To let go of what it hasn't would be an error, and it asks about nobody but
-- itself, so that nothing can change between the two.
DECLARE @resource nvarchar(255) = CONCAT(@p1, N' ', DB_NAME()), @status int = -1;
IF APPLOCK_MODE('public', @resource, 'Session') <> 'NoLock'
    EXEC @status = sp_releaseapplock @Resource = @resource, @LockOwner = 'Session';
SELECT @status;
