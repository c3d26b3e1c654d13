package sqlite

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// acquireMany uses one statement for all requests.
func (d *Dialect) acquireMany(
	ctx context.Context, s engine.Session, requests []dialect.Request,
) ([]dialect.Grant, error) {
	list := make([][7]any, len(requests))
	for i, r := range requests {
		list[i] = [7]any{
			r.Name, r.Slot, r.Owner, r.LeaseID, r.Note, engine.Micros(r.HoldAtLeast),
			engine.Micros(r.LockDelay),
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	type taken struct {
		dialect.Claim
		fence int64
	}
	found, err := engine.Query(ctx, s, func(rows dialect.Rows, t *taken) error {
		return rows.Scan(&t.Name, &t.Slot, &t.Owner, &t.fence)
	}, d.sql.acquireMany, string(text))
	if err != nil {
		return nil, err
	}
	fences := make(map[dialect.Claim]int64, len(found))
	for _, t := range found {
		fences[t.Claim] = t.fence // if the same lock was requested twice, the last one counts
	}
	grants := make([]dialect.Grant, len(requests))
	for i, r := range requests {
		grants[i].Fence, grants[i].Granted = fences[dialect.Claim{Key: r.Key, Owner: r.Owner}]
	}
	return grants, nil
}

// releaseMany uses one statement for all claims.
func (d *Dialect) releaseMany(ctx context.Context, s engine.Session, claims []dialect.Claim) ([]bool, error) {
	list := make([][3]any, len(claims))
	for i, c := range claims {
		list[i] = [3]any{c.Name, c.Slot, c.Owner}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	found, err := engine.Query(ctx, s, func(rows dialect.Rows, k *dialect.Key) error {
		return rows.Scan(&k.Name, &k.Slot)
	},
		d.sql.releaseMany, string(text))
	if err != nil {
		return nil, err
	}
	freed := make(map[dialect.Key]bool, len(found))
	for _, key := range found {
		freed[key] = true
	}
	ours := make([]bool, len(claims))
	for i, c := range claims {
		ours[i] = freed[c.Key]
	}
	return ours, nil
}

// plain reports whether the texts survive both the encoding as JSON and SQLite's decoding of it.
func plain(texts ...string) bool {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return false
		}
	}
	return true
}

// canReleaseMany reports whether releaseMany can serve the claims. Its result can't distinguish two
// claims of one lock.
func canReleaseMany(claims []dialect.Claim) bool {
	seen := make(map[dialect.Key]bool, len(claims))
	for _, c := range claims {
		if seen[c.Key] || !plain(c.Name, c.Owner) {
			return false
		}
		seen[c.Key] = true
	}
	return len(claims) > 1
}

func canAcquireMany(requests []dialect.Request) bool {
	for _, r := range requests {
		if !plain(r.Name, r.Owner, r.LeaseID, r.Note) {
			return false
		}
	}
	return len(requests) > 1
}
