package prometheuslock_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	prometheuslock "github.com/sqllock/sqllock/adapters/prometheus"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func Example() {
	ctx := context.Background()
	metrics := prometheuslock.New(nil)
	metrics.Preregister(sqllock.KindLock, "report") // shown as zero from the start
	db := sqllocktest.New()                         // postgres.New(db), mysql.New(db), … in a program
	locks, err := sqllock.New(ctx, db, &sqllock.Options{Tracer: metrics})
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)
	metrics.Watch(locks)
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)

	if _, err := locks.Acquire(ctx, "report/nightly"); err != nil {
		log.Fatal(err)
	}

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).
		ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, `sqllock_held{kind="lock"}`) || strings.HasPrefix(line, "sqllock_lost_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// sqllock_held{kind="lock"} 1
	// sqllock_lost_total 0
}
