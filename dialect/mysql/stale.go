package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"
)

// stale reports that a server, or a proxy that has changed servers, doesn't know the statement any more.
func stale(err error) bool {
	var answer *mysql.MySQLError
	return errors.As(err, &answer) && (answer.Number == erUnknownStatement || answer.Number == erNeedReprepare)
}
