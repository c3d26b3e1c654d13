package sqllocktest_test

import (
	"testing"

	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestConformance(t *testing.T) {
	dialecttest.Run(t, func(*testing.T) dialecttest.Harness {
		return dialecttest.Harness{Dialect: sqllocktest.New()}
	})
}
