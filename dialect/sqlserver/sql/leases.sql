-- Reads leases that lock rows name, ten at a time. For fewer, one id is repeated, so that the
-- statement is always the same. OPENJSON could take any number, but doesn't exist on every
-- compatibility level.
DECLARE @id1 nvarchar(4000) = @p1, @id2 nvarchar(4000) = @p2, @id3 nvarchar(4000) = @p3, @id4 nvarchar(4000) = @p4,
        @id5 nvarchar(4000) = @p5, @id6 nvarchar(4000) = @p6, @id7 nvarchar(4000) = @p7, @id8 nvarchar(4000) = @p8,
        @id9 nvarchar(4000) = @p9, @id10 nvarchar(4000) = @p10;
SELECT id, holder, DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), expires_at),
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), renewed_at), ttl
FROM sqllock_leases WITH (READCOMMITTED)
WHERE id IN (@id1, @id2, @id3, @id4, @id5, @id6, @id7, @id8, @id9, @id10);
