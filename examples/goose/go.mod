// A module of its own, so that goose and the many drivers that it names don't become requirements of everybody who uses
// sqllock. When a requirement of the module above changes: go mod tidy.
module github.com/sqllock/sqllock/examples/goose

go 1.26.0

require (
	github.com/pressly/goose/v3 v3.27.3
	github.com/sqllock/sqllock v0.0.0
	github.com/sqllock/sqllock/dialect/sqlite v0.0.0
	github.com/sqllock/sqllock/sqllock v0.0.0
)

require (
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/golang-migrate/migrate/v4 v4.20.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/mfridman/interpolate v0.0.2 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	github.com/sethvargo/go-retry v0.4.0 // indirect
	github.com/sqllock/sqllock/dialect v0.0.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	modernc.org/libc v1.79.0 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
	modernc.org/sqlite v1.61.1 // indirect
)

replace (
	github.com/sqllock/sqllock => ../..
	github.com/sqllock/sqllock/dialect => ../../dialect
	github.com/sqllock/sqllock/dialect/mysql => ../../dialect/mysql
	github.com/sqllock/sqllock/dialect/postgres => ../../dialect/postgres
	github.com/sqllock/sqllock/dialect/sqlite => ../../dialect/sqlite
	github.com/sqllock/sqllock/dialect/sqlserver => ../../dialect/sqlserver
	github.com/sqllock/sqllock/sqllock => ../../sqllock
)
