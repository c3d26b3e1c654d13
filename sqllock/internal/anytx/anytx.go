// Package anytx turns a transaction of any library into one that the dialects can use.
package anytx

import (
	"context"
	"database/sql"
	"reflect"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// Tx is sqllock.Tx, which says what it may be.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Of returns tx as the dialects need it. It returns nil for nil, also for a typed nil
// pointer; the dialects refuse that.
func Of(tx Tx, what, name string) (dialect.Tx, error) {
	if isNil(tx) {
		return nil, nil //nolint:nilnil // see above
	}
	if known, ok := tx.(dialect.Tx); ok {
		return known, nil
	}
	if inner, found := embedded(tx, maxEmbedding); found {
		if inner == nil {
			return nil, nil //nolint:nilnil // see above
		}
		return dialect.SQL(inner), nil
	}
	q, queries := tx.(dialect.Querier)
	_, ends := tx.(interface {
		Commit() error
		Rollback() error
	})
	switch {
	case !ends:
		return nil, fail.Invalid("%s %q: a %T is not a transaction, since it has no Commit and Rollback; pass the "+
			"transaction itself, which Begin or BeginTx has returned (of GORM, tx.Statement.ConnPool of the tx that "+
			"its Transaction gives you)", what, name, tx)
	case !queries:
		return nil, fail.Invalid("%s %q: a %T has no method QueryContext(ctx, query, args...) (*sql.Rows, error), "+
			"as a *sql.Tx has", what, name, tx)
	}
	return dialect.SQL(q), nil
}

func isNil(tx Tx) bool {
	if tx == nil {
		return true
	}
	v := reflect.ValueOf(tx)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// maxEmbedding is the depth to which an embedded *sql.Tx is searched for.
const maxEmbedding = 3

// embedded returns the *sql.Tx that tx is or embeds. *sqlx.Tx and bun.Tx embed one; GORM's
// PreparedStmtTX embeds one as the value of an interface. bun's own ExecContext would write the
// arguments into the text wherever it finds a question mark, and GORM's would keep each of these
// statements prepared.
func embedded(tx any, depth int) (inner *sql.Tx, found bool) {
	if is, ok := tx.(*sql.Tx); ok {
		return is, true
	}
	v := reflect.Indirect(reflect.ValueOf(tx))
	if v.Kind() != reflect.Struct || depth == 0 {
		return nil, false
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.Anonymous || !field.IsExported() {
			continue
		}
		if inner, found = embedded(v.Field(i).Interface(), depth-1); found {
			return inner, true
		}
	}
	return nil, false
}
