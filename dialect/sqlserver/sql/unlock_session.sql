-- Releases a lock if the session has it; otherwise the release would be an error. The check is
-- about this session only, so nothing can change between the two.
DECLARE @resource nvarchar(255) = CONCAT(@p1, N' ', DB_NAME()), @status int = -1;
IF APPLOCK_MODE('public', @resource, 'Session') <> 'NoLock'
    EXEC @status = sp_releaseapplock @Resource = @resource, @LockOwner = 'Session';
SELECT @status;
