package servers

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

func mysql() *engine {
	e := mysqlProtocol("mysql")
	e.image = "mysql:9"
	e.variables = map[string]string{"MYSQL_ROOT_PASSWORD": "sqllock", "MYSQL_ROOT_HOST": "%"}
	e.args = []string{
		"--skip-log-bin", "--innodb-flush-log-at-trx-commit=2", "--max-connections=300", "--log-error-verbosity=3",
	}
	e.find = findMySQL
	return e
}

// mysqlProtocol returns what the engines MySQL and MariaDB have in common.
func mysqlProtocol(name string) *engine {
	return &engine{
		name:   name,
		scheme: "mysql",
		open:   openMySQL,
		quote:  "`",
		drop:   "DROP DATABASE IF EXISTS %s",
		rootURL: func(host string, port int) *url.URL {
			return &url.URL{
				Scheme: "mysql", User: url.UserPassword("root", "sqllock"),
				Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: "/mysql",
			}
		},
		port: "3306/tcp",
	}
}

func openMySQL(u *url.URL) (*sql.DB, error) {
	config := driver.NewConfig()
	config.Net = "tcp"
	config.Addr = u.Host
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Logger = &driver.NopLogger{} // a server that isn't ready yet is not worth a log line
	if u.RawQuery != "" {
		parsed, err := driver.ParseDSN(config.FormatDSN() + "?" + u.RawQuery)
		if err != nil {
			return nil, err
		}
		parsed.Logger, config = config.Logger, parsed
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// findMySQL returns the MySQL that make deps unpacked, which runs with the libc beside it, or
// otherwise an installed one.
func findMySQL() (*program, error) {
	for _, cache := range cacheDirs() {
		root := filepath.Join(cache, "mysql")
		loaders, _ := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-gnu*", "ld-linux-*.so.*"))
		if len(loaders) == 0 {
			continue
		}
		share := filepath.Join(root, "usr", "share", "mysql")
		p, ok := mysqlProgram(
			loaders[0], "--library-path", filepath.Dir(loaders[0]), filepath.Join(root, "usr", "sbin", "mysqld"),
			"--no-defaults", "--basedir="+filepath.Join(root, "usr"), "--lc-messages-dir="+share,
			"--character-sets-dir="+filepath.Join(share, "charsets"),
			"--plugin-dir="+filepath.Join(root, "usr", "lib", "mysql", "plugin"),
		)
		if ok {
			return p, nil
		}
	}
	for _, dir := range pathDirs() {
		if p, ok := mysqlProgram(filepath.Join(dir, "mysqld"), "--no-defaults"); ok {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: no MySQL in %q, no mysqld in PATH", errAbsent, cacheDirs())
}

// mysqlProgram returns the program, and reports whether that command is a MySQL. MariaDB installs a
// mysqld too.
func mysqlProgram(command ...string) (*program, bool) {
	version, err := output(command[0], append(slices.Clip(command[1:]), "--version")...)
	if err != nil || strings.Contains(version, "MariaDB") {
		return nil, false
	}
	with := func(args ...string) []string { return append(slices.Clip(command), args...) }
	return &program{
		version: version,
		ready:   "ready for connections",
		init: func(dir string) error {
			users, err := writeForServer(dir, "users.sql",
				"ALTER USER 'root'@'localhost' IDENTIFIED BY 'sqllock';\n"+
					"CREATE USER 'root'@'%' IDENTIFIED BY 'sqllock';\n"+
					"GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n")
			if err != nil {
				return err
			}
			command := with("--datadir="+filepath.Join(dir, "data"), "--secure-file-priv=NULL",
				"--innodb-redo-log-capacity=48M",
				"--innodb-flush-log-at-trx-commit=0", "--skip-log-bin",
				"--initialize-insecure", "--init-file="+users)
			if _, err := runAsServer(command...); err != nil {
				return err
			}
			return os.Remove(filepath.Join(dir, "data", "auto.cnf")) // the server's identity: each copy creates its own
		},
		command: func(dir string, port int, durable bool) []string {
			return with("--datadir="+filepath.Join(dir, "data"), "--secure-file-priv=NULL",
				"--port="+strconv.Itoa(port),
				"--bind-address=127.0.0.1", "--socket=s.sock", "--pid-file=pid", "--mysqlx=OFF", "--skip-name-resolve",
				"--skip-log-bin", "--max-connections=300", "--innodb-redo-log-capacity=48M",
				"--log-error-verbosity=3", "--tmpdir="+dir,
				"--innodb-flush-log-at-trx-commit="+flushAtCommit(durable),
				"--innodb-flush-method="+flushMethod(durable))
		},
	}, true
}

// flushMethod returns the value of innodb-flush-method. With nosync the server never flushes. What
// it has written survives a killed server all the same.
func flushMethod(durable bool) string {
	if durable {
		return "O_DIRECT" // the default of both
	}
	return "nosync"
}

// flushAtCommit returns the value of innodb-flush-log-at-trx-commit. With 2 the server writes at
// each commit and doesn't flush: a killed server loses nothing, and only a crash of the machine
// would lose commits.
func flushAtCommit(durable bool) string {
	if durable {
		return "1"
	}
	return "2"
}
