-- Whether a break is recorded.
DECLARE @id nvarchar(4000) = @p1;
SELECT slot
FROM sqllock_breaks WITH (READCOMMITTEDLOCK)
WHERE id = @id;
