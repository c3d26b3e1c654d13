// The command of goose for PostgreSQL only, which integration/foreign_test.go runs under a lock. It is pinned here, so
// that it never enters the module graph of sqllock's users. To update it: change its version, and run
//
//	GOWORK=off GOFLAGS=-mod=mod go list -modfile=.ci/goose.mod -deps -tags=… github.com/pressly/goose/v3/cmd/goose
//
// with the tags that integration/built_test.go has.
module github.com/sqllock/sqllock

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.12.0
	github.com/pressly/goose/v3 v3.27.3
)
