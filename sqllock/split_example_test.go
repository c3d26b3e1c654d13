package sqllock_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"log"
	"slices"
	"testing"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// split is a Client for each of several databases.
type split []*sqllock.Client

// of returns the Client of the database that the locks of a tenant are in. Every process must
// choose the same one, so the order of the databases is part of the configuration that all
// processes share.
func (s split) of(tenant string) *sqllock.Client {
	h := fnv.New64a()
	_, _ = h.Write([]byte(tenant))
	return s[h.Sum64()%uint64(len(s))]
}

// If one database can't serve all locks, names are split over several by a function of the
// application's. Here a tenant's locks are where its data is, so that Guard works: it needs the
// lock and the data in one database.
func Example_split() {
	ctx := context.Background()
	var locks split
	for range 3 {
		c, err := sqllock.New(ctx, sqllocktest.New(), nil) // postgres.New(db) of each database
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close(ctx)
		locks = append(locks, c)
	}
	for _, tenant := range []string{"wayne", "soylent", "acme"} {
		err := locks.of(tenant).Do(ctx, "invoices/"+tenant, func(context.Context, *sqllock.Lock) error {
			fmt.Println("locked the invoices of", tenant, "in database", slices.Index(locks, locks.of(tenant)))
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// locked the invoices of wayne in database 0
	// locked the invoices of soylent in database 1
	// locked the invoices of acme in database 2
}

// TestSplit: all processes choose the same database for a tenant, and each database has its share.
func TestSplit(t *testing.T) {
	const databases, tenants = 3, 300
	a, b := make(split, databases), make(split, databases) // of two processes
	for i := range databases {
		db := sqllocktest.New()
		a[i], b[i] = client(t, db, "a"), client(t, db, "b")
	}
	share := make([]int, databases)
	for i := range tenants {
		tenant := fmt.Sprint("tenant ", i)
		lock := mustTry(t, a.of(tenant), tenant)
		share[slices.Index(a, a.of(tenant))]++
		_, err := b.of(tenant).TryAcquire(t.Context(), tenant)
		wantErr(t, "another process, for the same tenant", err, sqllock.ErrNotAcquired)
		mustRelease(t, lock)
	}
	if slices.Min(share) < tenants/databases/2 {
		t.Errorf("of %d tenants the databases have %v", tenants, share)
	}
}
