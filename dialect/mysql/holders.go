package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// HeldBy asks which connection has the lock, and looks that connection up in the server's list:
// "app-1 (app@10.0.0.7:51234, connection 42)". The name is in a variable of that session, which
// MySQL shows to accounts that may read its performance_schema. The list is visible to the same
// user and to accounts with PROCESS. Without either it is "connection 42".
func (s *session) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	holders, err := s.heldBy(ctx, locks)
	return holders, fail("read who holds a lock", engine.WithCause(ctx, err))
}

func (s *session) heldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	ids, err := s.each(ctx, "IS_USED_LOCK('%s')", locks)
	if err != nil {
		return nil, err
	}
	holders, held := make([]dialect.SessionHolder, len(locks)), false
	for _, id := range ids {
		held = held || id.Valid
	}
	if !held {
		return holders, nil
	}
	ctx, done := s.conn.Within(ctx)
	defer done()
	from, err := seen(ctx, s.conn, scanConnection, "SHOW PROCESSLIST")
	if err != nil {
		return nil, err
	}
	self, err := seen(ctx, s.conn, scanVariables, sqlHolders)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if id.Valid {
			holders[i] = dialect.SessionHolder{
				Holder: describe(id.Int64, from[id.Int64].text, self[id.Int64].text),
				Since:  self[id.Int64].since,
			}
		}
	}
	return holders, nil
}

func describe(id int64, from, self string) string {
	if from != "" {
		from += ", "
	}
	if self == "" {
		return fmt.Sprintf("%sconnection %d", from, id)
	}
	return fmt.Sprintf("%s (%sconnection %d)", self, from, id)
}

// client is what can be seen of a connection.
type client struct {
	id    int64
	text  string
	since time.Time
}

// seen reads all visible connections. It returns none if the server refuses.
func seen(
	ctx context.Context, s engine.Session, scan func(dialect.Rows, *client) error, text string,
) (map[int64]client, error) {
	clients, err := engine.Query(ctx, s, scan, text)
	if _, refused := errors.AsType[*mysql.MySQLError](err); err != nil && !refused {
		return nil, err
	}
	byID := make(map[int64]client, len(clients))
	for _, c := range clients {
		byID[c.id] = c
	}
	return byID, nil
}

// scanConnection reads the first columns of SHOW PROCESSLIST: the number of columns depends on the
// server.
func scanConnection(rows dialect.Rows, c *client) error {
	all, ok := rows.(interface{ Columns() ([]string, error) })
	if !ok { // a session's rows are database/sql's
		return fmt.Errorf("%T doesn't say how many columns there are", rows)
	}
	columns, err := all.Columns()
	if err != nil {
		return err
	}
	var user, host sql.NullString
	into := []any{&c.id, &user, &host}
	for len(into) < len(columns) {
		into = append(into, new(any))
	}
	err = rows.Scan(into...)
	c.text = user.String + "@" + host.String
	return err
}

func scanVariables(rows dialect.Rows, c *client) error {
	var since sql.NullInt64
	var holder sql.NullString
	err := rows.Scan(&c.id, &holder, &since)
	c.text = holder.String
	if since.Valid {
		c.since = time.UnixMicro(since.Int64).UTC()
	}
	return err
}
