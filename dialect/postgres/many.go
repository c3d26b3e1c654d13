package postgres

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// acquireMany is one statement for all requests.
func acquireMany(ctx context.Context, s engine.Session, requests []dialect.Request) ([]dialect.Grant, error) {
	n := len(requests)
	names, owners, leases, notes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	slots, holds, delays := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, r := range requests {
		names[i], slots[i], owners[i], leases[i], notes[i] = r.Name, int64(r.Slot), r.Owner, r.LeaseID, r.Note
		holds[i], delays[i] = engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)
	}
	type granted struct {
		place int
		fence int64
	}
	found, err := query(ctx, s, func(rows *sql.Rows, g *granted) error { return rows.Scan(&g.place, &g.fence) },
		sqlAcquireMany, array(names), numbers(slots), array(owners), array(leases), array(notes), numbers(holds), numbers(delays))
	if err != nil {
		return nil, err
	}
	grants := make([]dialect.Grant, n)
	for _, g := range found {
		grants[g.place-1] = dialect.Grant{Granted: true, Fence: g.fence}
	}
	return grants, nil
}

// releaseMany is one statement for all claims, and one more for each that was freed where somebody may wait.
func (d *Dialect) releaseMany(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	n := len(claims)
	names, owners, slots := make([]string, n), make([]string, n), make([]int64, n)
	for i, c := range claims {
		names[i], slots[i], owners[i] = c.Name, int64(c.Slot), c.Owner
	}
	type release struct {
		place int
		told  sql.NullString
	}
	released, err := query(ctx, d.pool, func(rows *sql.Rows, r *release) error { return rows.Scan(&r.place, &r.told) }, sqlReleaseMany,
		array(names), numbers(slots), array(owners))
	if err != nil {
		return nil, err
	}
	ours := make([]bool, n)
	for _, r := range released {
		ours[r.place-1] = true
		d.released(ctx, claims[r.place-1], r.told.Valid)
	}
	return ours, nil
}

// numbers is a PostgreSQL array literal of integers.
func numbers(all []int64) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return "{" + strings.Join(texts, ",") + "}"
}
