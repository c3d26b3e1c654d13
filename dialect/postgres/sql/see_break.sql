-- Reports whether a break is recorded.
SELECT EXISTS (SELECT FROM sqllock_breaks WHERE id = $1::text)
