package integration

import (
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// PostgreSQL plans a prepared statement five times, and then once and for all where it believes that to be as good. What is
// asked again and again must come to that: to plan it takes longer than to carry it out.
func TestPostgresPlansOnce(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		pg.db.SetMaxOpenConns(1) // a connection has its plans for itself
		for range 20 {
			for _, n := range []int{1, 2} {
				var requests []dialect.Request
				var claims []dialect.Claim
				var keys []dialect.Key
				for range n {
					r := pg.request("n")
					r.Slot = len(requests)
					requests, claims, keys = append(requests, r), append(claims, dialect.Claim{Key: r.Key, Owner: r.Owner}), append(keys, r.Key)
				}
				grants, err := pg.d.Acquire(t.Context(), requests)
				pg.must(err)
				_, err = pg.d.Look(t.Context(), keys)
				pg.must(err)
				ours, err := pg.d.Release(t.Context(), claims)
				pg.must(err)
				if !grants[n-1].Granted || !ours[n-1] {
					t.Fatal(grants, ours)
				}
			}
		}
		rows, err := pg.db.QueryContext(t.Context(), `SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements
			WHERE statement LIKE '%sqllock_locks%' AND generic_plans + custom_plans >= 20`)
		pg.must(err)
		defer rows.Close()
		statements := 0
		for ; rows.Next(); statements++ {
			var text string
			var once, again int
			pg.must(rows.Scan(&text, &once, &again))
			if again > 5 {
				t.Errorf("planned %d times, and used as it was %d times: %s", again, once, text)
			}
		}
		pg.must(rows.Err())
		if statements != 5 { // two for one, two for many, and the look
			t.Errorf("%d statements were looked at", statements)
		}
	})
}
