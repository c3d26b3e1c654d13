package sqllocktest_test

import (
	"testing"

	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestConformance(t *testing.T) {
	dialecttest.Run(t, func(*testing.T) dialecttest.Harness {
		db := sqllocktest.New()
		return dialecttest.Harness{
			Dialect:     db,
			Powers:      dialecttest.Powers{Session: true, SessionShared: true, Holders: true, Notifier: true},
			EndSessions: func(*testing.T) { db.CutSessions(); db.CutListeners() },
		}
	})
}
