package postgres

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// acquireMany runs one statement for all requests.
func acquireMany(ctx context.Context, s engine.Session, requests []dialect.Request) ([]dialect.Grant, error) {
	n := len(requests)
	names, owners, leases, notes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	slots, holds, delays := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, r := range requests {
		names[i], slots[i], owners[i], leases[i], notes[i] = r.Name, int64(r.Slot), r.Owner, r.LeaseID, r.Note
		holds[i], delays[i] = engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)
	}
	type granted struct {
		index int
		fence int64
	}
	found, err := query(ctx, s, func(rows dialect.Rows, g *granted) error { return rows.Scan(&g.index, &g.fence) },
		sqlAcquireMany, array(names), numbers(slots), array(owners), array(leases), array(notes),
		numbers(holds), numbers(delays))
	if err != nil {
		return nil, err
	}
	grants := make([]dialect.Grant, n)
	for _, g := range found {
		grants[g.index-1] = dialect.Grant{Granted: true, Fence: g.fence}
	}
	return grants, nil
}

// releaseMany runs one statement for all claims, and one more for each lock that it has freed and
// that may have a waiter.
func (d *Dialect) releaseMany(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return nil, err
	}
	released, err := f.releaseAll(ctx, d.pool, claims)
	if err != nil {
		return nil, err
	}
	ours := make([]bool, len(claims))
	for _, r := range released {
		ours[r.index-1] = true
		if !f.plain {
			d.released(ctx, claims[r.index-1], r.notified.Valid)
		}
	}
	return ours, nil
}

// released is a row of release_many.sql: a claim whose lock was freed or handed over.
type released struct {
	index    int
	notified sql.NullString
}

func (f *flavour) releaseAll(ctx context.Context, s engine.Session, claims []dialect.Claim) ([]released, error) {
	n := len(claims)
	names, owners, slots := make([]string, n), make([]string, n), make([]int64, n)
	for i, c := range claims {
		names[i], slots[i], owners[i] = c.Name, int64(c.Slot), c.Owner
	}
	scan := func(rows dialect.Rows, r *released) error { return rows.Scan(&r.index, &r.notified) }
	return query(ctx, s, scan, f.releaseMany, array(names), numbers(slots), array(owners))
}

// enqueueMany runs one statement for all waiters, whose keys and owners must all differ.
func enqueueMany(ctx context.Context, s engine.Session, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	n := len(waiters)
	names, owners, leases, notes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	channels, holds := make([]string, n), make([]string, n)
	slots, least, delays := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, w := range waiters {
		names[i], slots[i], owners[i], leases[i], notes[i] = w.Name, int64(w.Slot), w.Owner, w.LeaseID, w.Note
		least[i], delays[i] = engine.Micros(w.HoldAtLeast), engine.Micros(w.LockDelay)
		channels[i], holds[i] = w.Channel, w.Holds
	}
	type enqueued struct {
		ord int
		dialect.QueuePosition
	}
	scan := func(rows dialect.Rows, e *enqueued) error { return rows.Scan(&e.ord, &e.Ticket, &e.First) }
	found, err := query(ctx, s, scan, sqlEnqueueMany,
		array(names), numbers(slots), array(owners), array(leases), array(notes), numbers(least), numbers(delays),
		array(channels), array(holds))
	if err != nil {
		return nil, err
	}
	positions := make([]dialect.QueuePosition, n)
	for _, e := range found {
		positions[e.ord-1] = e.QueuePosition
	}
	return positions, nil
}

// dequeueMany runs one statement for all claims. A result is false if the owner isn't in its queue,
// or if another transaction has locked its entry.
func dequeueMany(ctx context.Context, s engine.Session, claims []dialect.Claim) ([]bool, error) {
	n := len(claims)
	names, owners, slots := make([]string, n), make([]string, n), make([]int64, n)
	for i, c := range claims {
		names[i], slots[i], owners[i] = c.Name, int64(c.Slot), c.Owner
	}
	gone, err := query(ctx, s, engine.One[int], sqlDequeueMany, array(names), numbers(slots), array(owners))
	if err != nil {
		return nil, err
	}
	found := make([]bool, n)
	for _, ord := range gone {
		found[ord-1] = true
	}
	return found, nil
}

// numbers returns a PostgreSQL array literal of integers.
func numbers(all []int64) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return "{" + strings.Join(texts, ",") + "}"
}
