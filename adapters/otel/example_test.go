package otellock_test

import (
	"context"
	"fmt"
	"log"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	otellock "github.com/sqllock/sqllock/adapters/otel"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func Example() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter() // an exporter to a collector in a program
	tracer, err := otellock.New(&otellock.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	if err != nil {
		log.Fatal(err)
	}
	db := sqllocktest.New() // postgres.New(db), mysql.New(db), … in a program
	locks, err := sqllock.New(ctx, db, &sqllock.Options{Tracer: tracer})
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)
	if _, err := tracer.Watch(locks); err != nil {
		log.Fatal(err)
	}

	if _, err := locks.Acquire(ctx, "report/nightly"); err != nil {
		log.Fatal(err)
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name, span.Attributes[0].Value.AsString())
	}
	// Output: sqllock acquire report/nightly
}
