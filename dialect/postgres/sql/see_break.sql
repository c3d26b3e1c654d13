-- Reports whether a break is recorded.
SELECT EXISTS (SELECT 1 FROM sqllock_breaks WHERE id = $1::text)
