package servers

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

func mariadb() *engine {
	e := mysqlProtocol("mariadb")
	e.image = "mariadb:10.11"
	e.variables = map[string]string{"MARIADB_ROOT_PASSWORD": "sqllock", "MARIADB_ROOT_HOST": "%"}
	e.args = []string{"--innodb-flush-log-at-trx-commit=2", "--max-connections=300", "--log-warnings=2"}
	e.find = findMariaDB
	return e
}

func findMariaDB() (*program, error) {
	for _, dir := range pathDirs() {
		bin := filepath.Join(dir, "mariadbd")
		version, err := output(bin, "--version")
		if err != nil || !strings.Contains(version, "MariaDB") {
			continue
		}
		install, err := inPath("mariadb-install-db")
		if err != nil {
			return nil, err
		}
		return mariadbProgram(version, bin, install), nil
	}
	return nil, fmt.Errorf("%w: no mariadbd in PATH", errAbsent)
}

func mariadbProgram(version, bin, install string) *program {
	const logSize = "--innodb-log-file-size=48M"
	return &program{
		version: version,
		ready:   "ready for connections",
		init: func(dir string) error {
			_, err := runAsServer(install, "--no-defaults", "--datadir="+filepath.Join(dir, "data"),
				"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", logSize)
			if err != nil {
				return err
			}
			_, err = writeForServer(dir, "users.sql",
				"CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY 'sqllock';\n"+
					"GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n")
			return err
		},
		command: func(dir string, port int, durable bool) []string {
			return []string{
				bin, "--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--port=" + strconv.Itoa(port),
				"--bind-address=127.0.0.1", "--socket=s.sock", "--pid-file=pid", "--skip-name-resolve",
				"--log-warnings=2",
				// In a shared tmpdir, a server that starts deletes the temporary tables of running
				// servers.
				"--tmpdir=" + dir,
				"--init-file=" + filepath.Join(dir, "users.sql"), logSize, "--max-connections=300",
				"--innodb-flush-log-at-trx-commit=" + flushAtCommit(durable),
				"--innodb-flush-method=" + flushMethod(durable),
			}
		},
	}
}
