package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestPosition(t *testing.T) {
	const text = "SELECT 1;\r\n\n  SELECT é FORM t"
	for position32, want := range map[int32][2]int{
		0: {}, 1: {1, 1}, 12: {2, 1}, 24: {3, 12}, 30: {3, 18}, 31: {3, 18}, 999: {3, 18}, -4: {},
	} {
		line, column := position(&pgconn.PgError{Position: position32}, text)
		if [2]int{line, column} != want {
			t.Errorf("%d: %d:%d, want %v", position32, line, column, want)
		}
	}
}
