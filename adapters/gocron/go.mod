module github.com/sqllock/sqllock/adapters/gocron

go 1.26.0

require (
	github.com/go-co-op/gocron/v2 v2.21.2
	github.com/google/uuid v1.6.0
	github.com/sqllock/sqllock/sqllock v0.0.0
)

require (
	github.com/jonboulle/clockwork v0.5.0 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	github.com/sqllock/sqllock/dialect v0.0.0 // indirect
)

replace (
	github.com/sqllock/sqllock/dialect => ../../dialect
	github.com/sqllock/sqllock/sqllock => ../../sqllock
)
