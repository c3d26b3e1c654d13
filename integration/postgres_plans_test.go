package integration

import (
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// TestPostgresPlansOnce checks that the statements of the hot path get a generic plan. PostgreSQL
// plans a prepared statement five times, and then once and for all if it believes that plan to be
// as good. Planning these statements takes longer than executing them.
func TestPostgresPlansOnce(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		pg.db.SetMaxOpenConns(1) // each connection has its own plans
		for range 20 {
			for _, n := range []int{1, 2} {
				var requests []dialect.Request
				var claims []dialect.Claim
				var keys []dialect.Key
				for range n {
					r := pg.request("n")
					r.Slot = len(requests)
					requests, claims, keys = append(requests, r), append(claims, pgClaim(r)), append(keys, r.Key)
				}
				grants, err := pg.d.Acquire(t.Context(), requests)
				pg.must(err)
				_, err = pg.d.Get(t.Context(), keys)
				pg.must(err)
				ours, err := pg.d.Release(t.Context(), claims)
				pg.must(err)
				if !grants[n-1].Granted || !ours[n-1] {
					t.Fatal(grants, ours)
				}
			}
		}
		rows, err := pg.db.QueryContext(t.Context(), `SELECT statement, generic_plans, custom_plans
			FROM pg_prepared_statements
			WHERE statement LIKE '%sqllock_locks%' AND generic_plans + custom_plans >= 20`)
		pg.must(err)
		defer rows.Close()
		statements := 0
		for ; rows.Next(); statements++ {
			var text string
			var once, again int
			pg.must(rows.Scan(&text, &once, &again))
			if again > 5 {
				t.Errorf("planned %d times, and executed %d times with a generic plan: %s", again, once, text)
			}
		}
		pg.must(rows.Err())
		if statements != 5 { // acquire and release, each for one and for many, and get
			t.Errorf("found %d prepared statements; want 5", statements)
		}
	})
}
