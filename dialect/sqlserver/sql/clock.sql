-- The clock that leases use, in microseconds since 1970.
SELECT DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), SYSUTCDATETIME());
