module github.com/sqllock/sqllock/sqllock

go 1.26.0

require (
	github.com/sqllock/sqllock/dialect v0.0.0
	pgregory.net/rapid v1.3.0
)

replace github.com/sqllock/sqllock/dialect => ../dialect
