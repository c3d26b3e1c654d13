package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"
)

// stale reports whether err says that the server, or a proxy that has changed servers, no longer
// knows the statement.
func stale(err error) bool {
	var serverErr *mysql.MySQLError
	return errors.As(err, &serverErr) && (serverErr.Number == erUnknownStatement || serverErr.Number == erNeedReprepare)
}
