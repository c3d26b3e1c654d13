package servers

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

func postgres(major string) *engine {
	return &engine{
		name:    "postgres" + major,
		scheme:  "postgres",
		open:    func(u *url.URL) (*sql.DB, error) { return sql.Open("pgx", u.String()) },
		quote:   `"`,
		drop:    "DROP DATABASE IF EXISTS %s WITH (FORCE)",
		recycle: recyclePostgres,
		rootURL: func(host string, port int) *url.URL {
			return &url.URL{
				Scheme: "postgres", User: url.UserPassword("postgres", "sqllock"),
				Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
			}
		},
		image:     "postgres:" + major,
		port:      "5432/tcp",
		variables: map[string]string{"POSTGRES_PASSWORD": "sqllock"},
		args:      []string{"-c", "fsync=off", "-c", "max_connections=300"},
		find:      func() (*program, error) { return findPostgres(major) },
	}
}

func findPostgres(major string) (*program, error) {
	dirs := []string{"/usr/lib/postgresql/" + major + "/bin"}
	for _, cache := range cacheDirs() {
		dirs = append(dirs, filepath.Join(cache, "postgres"+major, "bin"))
	}
	for _, dir := range append(dirs, pathDirs()...) {
		bin := filepath.Join(dir, "postgres")
		version, err := output(bin, "--version")
		if err != nil || !hasMajor(version, major) {
			continue
		}
		return &program{
			version: version,
			ready:   "ready to accept", // "… connections", "… read-only connections"
			bin:     dir,
			init: func(data string) error {
				_, err := runAsServer(filepath.Join(dir, "initdb"), "-D", filepath.Join(data, "data"), "-U", "postgres",
					"-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
				return err
			},
			command: func(data string, port int, durable bool) []string {
				return []string{
					bin, "-D", filepath.Join(data, "data"), "-p", strconv.Itoa(port),
					"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300",
					"-c", "shared_buffers=16MB", // each session's process has to map this memory
					"-c", "fsync=" + onOff(durable),
				}
			},
		}, nil
	}
	return nil, fmt.Errorf("%w: no postgres of version %s in %q nor PATH", errAbsent, major, dirs)
}

// hasMajor reports whether the output of postgres --version, such as "postgres (PostgreSQL) 15.18
// (Debian 15.18-0+deb12u1)", is of that major version.
func hasMajor(version, major string) bool {
	var name, product, number string
	if n, _ := fmt.Sscan(version, &name, &product, &number); n < 3 {
		return false
	}
	return len(number) > len(major) && number[:len(major)] == major &&
		(number[len(major)] < '0' || number[len(major)] > '9')
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
