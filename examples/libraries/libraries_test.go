package libraries

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	entdialect "entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"
	gormmysql "gorm.io/driver/mysql"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// A depositor makes deposits with one of the libraries.
type depositor interface {
	Deposit(ctx context.Context, lock *sqllock.Lock, id, amount int64) error
	DepositAlone(ctx context.Context, locks *sqllock.Client, id, amount int64) error
}

// library is one of the libraries on one database.
type library struct {
	depositor
	pool sqllock.Tx // the library's pool, which is passed by mistake
}

func TestPgx(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"postgres15", "postgres18"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db, url := database(t, engine)
			pool, err := pgxpool.New(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			p := Pgx{pool}
			locks := clients(t, postgres.NewPool(pool))
			check(t, db, locks, library{p, nil})
			if err := p.DepositUnderLock(t.Context(), locks[0], 1, 100); err != nil || balance(t, db) != 100+9 {
				t.Errorf("DepositUnderLock: %v; the balance is %d", err, balance(t, db))
			}
		})
	}
}

func TestGorm(t *testing.T) {
	for _, prepare := range []bool{false, true} {
		name := map[bool]string{false: "as it comes", true: "PrepareStmt"}[prepare]
		each(t, name, func(t *testing.T, db *open.Database) library {
			dialector := gormpostgres.New(gormpostgres.Config{Conn: db.DB})
			if isMySQL(db) {
				dialector = gormmysql.New(gormmysql.Config{Conn: db.DB})
			}
			g, err := gorm.Open(dialector, &gorm.Config{PrepareStmt: prepare, Logger: logger.Discard})
			if err != nil {
				t.Fatal(err)
			}
			return library{Gorm{g}, g.Statement.ConnPool}
		})
	}
}

func TestSqlx(t *testing.T) {
	each(t, "sqlx", func(_ *testing.T, db *open.Database) library {
		driver := "pgx"
		if isMySQL(db) {
			driver = "mysql"
		}
		x := sqlx.NewDb(db.DB, driver)
		return library{Sqlx{x}, x}
	})
}

func TestBun(t *testing.T) {
	each(t, "bun", func(_ *testing.T, db *open.Database) library {
		var d schema.Dialect = pgdialect.New()
		if isMySQL(db) {
			d = mysqldialect.New()
		}
		b := bun.NewDB(db.DB, d)
		return library{Bun{b}, b}
	})
}

func TestEnt(t *testing.T) {
	each(t, "ent", func(_ *testing.T, db *open.Database) library {
		name := entdialect.Postgres
		if isMySQL(db) {
			name = entdialect.MySQL
		}
		driver := entsql.OpenDB(name, db.DB)
		return library{Ent{driver}, driver}
	})
}

// each tests a library on MySQL and on PostgreSQL.
func each(t *testing.T, name string, use func(t *testing.T, db *open.Database) library) {
	t.Helper()
	for _, engine := range []string{"mysql", "postgres18"} {
		t.Run(name+"/"+engine, func(t *testing.T) {
			t.Parallel()
			db, _ := database(t, engine)
			check(t, db, clients(t, db.Dialect), use(t, db))
		})
	}
}

// database returns a new database with sqllock's tables and an account.
func database(t *testing.T, engine string) (*open.Database, string) {
	t.Helper()
	url := servers.Start(t, engine).Database(t)
	db, err := open.URL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.DB.Close() })
	if err := migrations.Up(t.Context(), db.DB, db.Migrations); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, balance BIGINT NOT NULL)",
		"INSERT INTO accounts VALUES (1, 0)",
	} {
		if _, err := db.DB.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return db, url
}

func isMySQL(db *open.Database) bool { return db.Migrations.Name == "mysql" }

// clients returns two Clients, as in two processes.
func clients(t *testing.T, d dialect.Dialect) (both [2]*sqllock.Client) {
	t.Helper()
	for i := range both {
		c, err := sqllock.New(t.Context(), d, &sqllock.Options{ReapEvery: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		both[i] = c
	}
	return both
}

func balance(t *testing.T, db *open.Database) (n int64) {
	t.Helper()
	if err := db.DB.QueryRowContext(t.Context(), "SELECT balance FROM accounts WHERE id = 1").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// check tests the functions that every library has.
func check(t *testing.T, db *open.Database, locks [2]*sqllock.Client, l library) {
	t.Helper()
	lock, err := locks[0].Acquire(t.Context(), "account/1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Deposit(t.Context(), lock, 1, 1); err != nil || balance(t, db) != 1 {
		t.Errorf("Deposit: %v; the balance is %d", err, balance(t, db))
	}
	if _, err := locks[1].Break(t.Context(), "account/1", lock.Fence()); err != nil {
		t.Fatal(err)
	}
	if err := l.Deposit(t.Context(), lock, 1, 10); !errors.Is(err, sqllock.ErrLost) || balance(t, db) != 1 {
		t.Errorf("Deposit after the lock was lost: %v; the balance is %d", err, balance(t, db))
	}
	checkAlone(t, db, locks[0], l)
	if l.pool == nil {
		return
	}
	err = locks[0].AcquireTx(t.Context(), l.pool, lockName)
	if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "not a transaction") {
		t.Errorf("AcquireTx in a pool: %v", err)
	}
}

// checkAlone makes several deposits at the same time, which wait while another transaction holds
// the lock.
func checkAlone(t *testing.T, db *open.Database, locks *sqllock.Client, l library) {
	t.Helper()
	tx, err := db.DB.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := locks.AcquireTx(t.Context(), tx, lockName); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := l.DepositAlone(t.Context(), locks, 1, 1); err != nil {
				t.Error("DepositAlone:", err)
			}
		})
	}
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.DepositAlone(impatient, locks, 1, 1000); err == nil {
		t.Error("DepositAlone succeeded while another transaction held the lock")
	}
	if n := balance(t, db); n != 1 {
		t.Errorf("the balance is %d while another transaction holds the lock", n)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	group.Wait()
	if n := balance(t, db); n != 1+8 {
		t.Errorf("after eight more deposits of 1 the balance is %d", n)
	}
}
