package mysql

import (
	"context"
	"encoding/json"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// releaseMany frees locks of different keys, except those that are guarded. It uses one statement.
// MySQL doesn't return what it has freed, so releaseMany first reads which locks the claims' owners
// hold. That may be out of date: it chooses what to try, and the statement decides.
func releaseMany(ctx context.Context, s engine.Session, f flavour, claims []dialect.Claim) ([]bool, error) {
	list, err := claimed(claims)
	if err != nil {
		return nil, err
	}
	ours := make([]bool, len(claims))
	if f.maria {
		tried, err := returned(ctx, s, func(rows dialect.Rows, c *changed) error {
			return rows.Scan(&c.Name, &c.Slot, &c.freed)
		}, sqlReleaseMany.maria, list)
		for i, c := range claims {
			ours[i] = tried[row(c.Key)].freed
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

// freeMine frees the locks that were found to be the claims' owners', and then reads which of them
// aren't free.
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

// claimed encodes the claims for the statements.
func claimed(claims []dialect.Claim) (string, error) {
	list := make([][3]any, len(claims))
	for i, c := range claims {
		list[i] = [3]any{c.Name, c.Slot, c.Owner}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// sightedLock is a row of see_locks.sql. It is the zero value if there is no row.
type sightedLock struct {
	there, mine bool
	fence       int64
}

func see(ctx context.Context, s engine.Session, list string, n int) ([]sightedLock, error) {
	type placed struct {
		sightedLock
		index int
	}
	found, err := engine.Query(ctx, s, func(rows dialect.Rows, p *placed) error {
		return rows.Scan(&p.index, &p.fence, &p.mine)
	}, sqlSeeLocks, list)
	seen := make([]sightedLock, n)
	for _, p := range found {
		seen[p.index] = p.sightedLock
		seen[p.index].there = true
	}
	return seen, err
}

// readGrants grants the requests whose row names their owner. There must be as many as were taken
// without being read. Otherwise others have changed a row since, or a request that was sent twice
// is being carried out right now.
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
