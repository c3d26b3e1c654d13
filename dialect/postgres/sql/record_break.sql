-- Records a break, in the transaction that frees or hands over the lock. The clock is read after
-- that one's wait for a guard.
INSERT INTO sqllock_breaks (id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at)
VALUES ($1::text, $2::text, $3::bigint::integer, $4::text, $5::bigint, $6::text, $7::text,
        timestamptz 'epoch' + $8::bigint * interval '1 microsecond', $9::text, $10::text, $11::text, clock_timestamp())
