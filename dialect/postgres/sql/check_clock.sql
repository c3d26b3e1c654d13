-- The clock is read once for each row, so consecutive rows show its smallest step and whether it
-- goes back.
SELECT coalesce((extract(epoch FROM min(step) FILTER (WHERE step > interval '0')) * 1000000)::bigint, 0),
       coalesce(bool_or(step < interval '0'), false)
FROM (SELECT tick - lag(tick) OVER (ORDER BY n) AS step
      FROM (SELECT n, clock_timestamp() AS tick FROM generate_series(1, 2000) AS n OFFSET 0) AS ticks) AS steps
