package mysql

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// releaseMany frees locks of different keys, but for those that are guarded: one statement. MySQL doesn't tell what it
// has freed, so there it is looked at before which are the claims' owners'. That look may be out of date: it chooses
// what to try, and the statement decides.
func releaseMany(ctx context.Context, s engine.Session, f flavour, claims []dialect.Claim) ([]bool, error) {
	list, err := claimed(claims)
	if err != nil {
		return nil, err
	}
	ours := make([]bool, len(claims))
	if f.maria {
		freed, err := returnedRows(ctx, s, sqlReleaseMany.maria, list)
		for i, c := range claims {
			_, ours[i] = freed[row(c.Key)]
		}
		return ours, err
	}
	seen, err := see(ctx, s, list, len(claims))
	if err != nil {
		return nil, err
	}
	var mine []dialect.Claim
	for i, lock := range seen {
		if ours[i] = lock.mine; lock.mine {
			mine = append(mine, claims[i])
		}
	}
	if len(mine) == 0 {
		return ours, nil
	}
	return ours, freeMine(ctx, s, mine, claims, ours)
}

// freeMine frees what is ours, and then says which of those aren't free.
func freeMine(ctx context.Context, s engine.Session, mine, claims []dialect.Claim, ours []bool) error {
	list, err := claimed(mine)
	if err != nil {
		return err
	}
	n, err := engine.Exec(ctx, s, sqlReleaseMany.mysql, list)
	if err != nil || n == len(mine) {
		return err
	}
	list, err = claimed(claims)
	if err != nil {
		return partly(n > 0, err)
	}
	seen, err := see(ctx, s, list, len(claims))
	if err != nil {
		return partly(n > 0, err)
	}
	for i, lock := range seen {
		if ours[i] && lock.mine {
			ours[i] = false
			n++
		}
	}
	if n != len(mine) {
		return partly(true, errMoved)
	}
	return nil
}

// claimed is the claims as the statements take them.
func claimed(claims []dialect.Claim) (string, error) {
	list := make([][3]any, len(claims))
	for i, c := range claims {
		list[i] = [3]any{c.Name, c.Slot, c.Owner}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// sightedLock is what see_locks.sql found. Where there is no row all of it is false.
type sightedLock struct {
	there, mine bool
	fence       int64
}

func see(ctx context.Context, s engine.Session, list string, n int) ([]sightedLock, error) {
	type placed struct {
		sightedLock
		place int
	}
	found, err := engine.Query(ctx, s, func(rows *sql.Rows, p *placed) error {
		return rows.Scan(&p.place, &p.fence, &p.mine)
	}, sqlSeeLocks, list)
	seen := make([]sightedLock, n)
	for _, p := range found {
		seen[p.place] = p.sightedLock
		seen[p.place].there = true
	}
	return seen, err
}

// readGrants: those whose row names the request's owner are granted, and that must be as many as were taken unread. If
// not, others have changed a row since, or a request that was sent twice is being carried out just now.
func readGrants(seen []sightedLock, unread int, grants []dialect.Grant) error {
	for i, lock := range seen {
		if lock.mine && !grants[i].Granted {
			grants[i] = dialect.Grant{Granted: true, Fence: lock.fence}
			unread--
		}
	}
	if unread != 0 {
		return partly(true, errMoved)
	}
	return nil
}
