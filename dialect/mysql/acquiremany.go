package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// errMoved is Unknown: the rows read afterwards don't match the number of rows changed. Others have
// the rows by now, because a lease was over or because the same request was in progress twice.
var errMoved = errors.New("the locks' rows were changed by others meanwhile")

// acquireMany takes locks of different keys: one statement for those that are free, and one more
// for new names. MySQL doesn't return which were taken, so it reads the rows afterwards. MariaDB
// returns them, and only the others are read.
func acquireMany(
	ctx context.Context, s engine.Session, f flavour, requests []dialect.Request,
) ([]dialect.Grant, error) {
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

// takeMany returns how many locks it took. On MariaDB it also sets their grants.
func takeMany(
	ctx context.Context, s engine.Session, f flavour, list string, requests []dialect.Request, grants []dialect.Grant,
) (int, error) {
	if f.maria {
		return takeReturned(ctx, s, list, requests, grants)
	}
	return engine.Exec(ctx, s, sqlAcquireMany.mysql, list)
}

// insertMissing takes those locks whose row wasn't found. Of the others, some may be free and yet
// not taken: the row was locked, and nothing waits for it.
func insertMissing(
	ctx context.Context, s engine.Session, f flavour,
	requests []dialect.Request, seen []sightedLock, grants []dialect.Grant,
) error {
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

// insertMany inserts the rows of names that were never taken. A lock is not granted if another
// client was faster.
func insertMany(ctx context.Context, s engine.Session, f flavour, requests []dialect.Request) ([]dialect.Grant, error) {
	list, err := requested(requests)
	if err != nil {
		return nil, err
	}
	grants := make([]dialect.Grant, len(requests))
	if f.maria {
		made, err := returned(ctx, s, func(rows dialect.Rows, c *changed) error {
			return rows.Scan(&c.Name, &c.Slot, &c.fence)
		}, sqlInsertLocks.maria, list)
		for i, r := range requests {
			if c, found := made[row(r.Key)]; found {
				grants[i] = dialect.Grant{Granted: true, Fence: c.fence}
			}
		}
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

// takeReturned takes the locks and reads from MariaDB's result which: it has the owner of every row
// that was tried.
func takeReturned(
	ctx context.Context, s engine.Session, list string, requests []dialect.Request, grants []dialect.Grant,
) (n int, err error) {
	tried, err := returned(ctx, s, func(rows dialect.Rows, c *changed) error {
		return rows.Scan(&c.Name, &c.Slot, &c.owner, &c.fence)
	}, sqlAcquireMany.maria, list)
	for i, r := range requests {
		if c, found := tried[row(r.Key)]; found && c.owner.String == r.Owner {
			grants[i] = dialect.Grant{Granted: true, Fence: c.fence}
			n++
		}
	}
	return n, err
}

// changed is a row in the result of one of MariaDB's statements that write.
type changed struct {
	dialect.Key
	owner sql.NullString
	freed bool
	fence int64
}

func returned(
	ctx context.Context, s engine.Session, scan func(dialect.Rows, *changed) error, text, list string,
) (map[dialect.Key]changed, error) {
	reply, err := engine.Query(ctx, s, scan, text, list)
	rows := make(map[dialect.Key]changed, len(reply))
	for _, c := range reply {
		rows[row(c.Key)] = c
	}
	return rows, err
}

// requested encodes the requests for the statements.
func requested(requests []dialect.Request) (string, error) {
	list := make([][7]any, len(requests))
	for i, r := range requests {
		if err := texts.CheckRequest(r); err != nil {
			return "", err
		}
		list[i] = [7]any{
			r.Name, r.Slot, r.Owner, r.LeaseID, r.Note, engine.Micros(r.HoldAtLeast),
			engine.Micros(r.LockDelay),
		}
	}
	text, err := json.Marshal(list)
	return string(text), err
}
