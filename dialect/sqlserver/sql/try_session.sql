-- Takes a lock for the session if it is free. The owner is named, since the default is the
-- transaction. The database's name is part of the resource's name, since not every server that
-- speaks T-SQL separates databases here.
DECLARE @resource nvarchar(255) = CONCAT(@p1, N' ', DB_NAME()), @mode varchar(32) = @p2, @status int;
EXEC @status = sp_getapplock @Resource = @resource, @LockMode = @mode, @LockOwner = 'Session', @LockTimeout = 0;
SELECT @status;
