-- The fraction of a second of the clock that leases use.
SELECT DATEPART(nanosecond, SYSUTCDATETIME());
