-- The fraction of a second of the clock that leases go by.
SELECT DATEPART(nanosecond, SYSUTCDATETIME());
