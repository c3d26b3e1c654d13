package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// errMoved is Unknown: what is seen afterwards isn't as many as were changed. Others have the rows by now, since a
// lease was over, or two of the same call were under way at once.
var errMoved = errors.New("the locks' rows were changed by others meanwhile")

// acquireMany takes locks of different keys: one statement for those that are free, and one more for the names that are
// new. MySQL doesn't tell what was taken, so it is looked at then; MariaDB does, and is asked only about the others.
func acquireMany(ctx context.Context, s engine.Session, f flavour, requests []dialect.Request) ([]dialect.Grant, error) {
	list, err := requested(requests)
	if err != nil {
		return nil, err
	}
	grants := make([]dialect.Grant, len(requests))
	n, err := takeMany(ctx, s, f, list, requests, grants)
	if err != nil || f.maria && n == len(requests) {
		return grants, err
	}
	unread := n
	if f.maria {
		unread = 0
	}
	seen, err := see(ctx, s, list, len(requests))
	if err == nil {
		err = readGrants(seen, unread, grants)
	}
	if err == nil {
		err = insertMissing(ctx, s, f, requests, seen, grants)
	}
	return grants, partly(n > 0, err)
}

// takeMany answers how many it took, and on MariaDB which.
func takeMany(ctx context.Context, s engine.Session, f flavour, list string, requests []dialect.Request, grants []dialect.Grant) (int, error) {
	if f.maria {
		return returned(ctx, s, sqlAcquireMany.maria, list, requests, grants)
	}
	return engine.Exec(ctx, s, sqlAcquireMany.mysql, list)
}

// insertMissing takes those locks whose row wasn't seen. Of the others, some may be free and yet not taken: somebody was at
// the row, and isn't waited for.
func insertMissing(ctx context.Context, s engine.Session, f flavour, requests []dialect.Request, seen []sightedLock, grants []dialect.Grant) error {
	var missing []int
	var fresh []dialect.Request
	for i, lock := range seen {
		if !lock.there && !grants[i].Granted {
			missing, fresh = append(missing, i), append(fresh, requests[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	made, err := insertMany(ctx, s, f, fresh)
	for i, grant := range made {
		grants[missing[i]] = grant
	}
	return err
}

// insertMany makes the rows of names that were never taken. Not granted: somebody was faster.
func insertMany(ctx context.Context, s engine.Session, f flavour, requests []dialect.Request) ([]dialect.Grant, error) {
	list, err := requested(requests)
	if err != nil {
		return nil, err
	}
	grants := make([]dialect.Grant, len(requests))
	if f.maria {
		_, err = returned(ctx, s, sqlInsertLocks.maria, list, requests, grants)
		return grants, err
	}
	n, err := engine.Exec(ctx, s, sqlInsertLocks.mysql, list)
	if err != nil || n == 0 {
		return grants, err
	}
	seen, err := see(ctx, s, list, len(requests))
	if err == nil {
		err = readGrants(seen, n, grants)
	}
	return grants, partly(true, err)
}

// returned reads from a statement of MariaDB's what it has changed.
func returned(ctx context.Context, s engine.Session, text, list string, requests []dialect.Request, grants []dialect.Grant) (int, error) {
	fences, err := returnedRows(ctx, s, text, list)
	for i, r := range requests {
		if fence, found := fences[row(r.Key)]; found {
			grants[i] = dialect.Grant{Granted: true, Fence: fence}
		}
	}
	return len(fences), err
}

func returnedRows(ctx context.Context, s engine.Session, text, list string) (map[dialect.Key]int64, error) {
	type changed struct {
		dialect.Key
		fence int64
	}
	found, err := engine.Query(ctx, s, func(rows *sql.Rows, c *changed) error {
		return rows.Scan(&c.Name, &c.Slot, &c.fence)
	}, text, list)
	fences := make(map[dialect.Key]int64, len(found))
	for _, c := range found {
		fences[row(c.Key)] = c.fence
	}
	return fences, err
}

// requested is the requests as the statements take them.
func requested(requests []dialect.Request) (string, error) {
	list := make([][7]any, len(requests))
	for i, r := range requests {
		if err := texts.CheckRequest(r); err != nil {
			return "", err
		}
		list[i] = [7]any{r.Name, r.Slot, r.Owner, r.LeaseID, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)}
	}
	text, err := json.Marshal(list)
	return string(text), err
}
