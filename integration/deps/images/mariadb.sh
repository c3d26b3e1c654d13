#!/bin/sh
# Supports what the tests use of the official image's entrypoint: MARIADB_ROOT_PASSWORD,
# MARIADB_ROOT_HOST, MARIADB_DATABASE (and the same variables with the prefix MYSQL_), and arguments
# for the server.
set -eu
password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:?must be set}}
host=${MARIADB_ROOT_HOST:-${MYSQL_ROOT_HOST:-%}}
database=${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}
data=/var/lib/mysql
as_server() { setpriv --reuid server --regid server --clear-groups "$@"; }
text() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

[ "${1:-}" != mariadbd ] || shift
if [ ! -d "$data/mysql" ]; then
	mkdir -p "$data" /run/mysqld
	chown server: "$data" /run/mysqld
	as_server mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
		--skip-test-db --skip-name-resolve >/dev/null
	{
		echo "DELETE FROM mysql.global_priv WHERE User = 'root';"
		echo "FLUSH PRIVILEGES;"
		for from in localhost "$host"; do
			echo "CREATE USER 'root'@$(text "$from") IDENTIFIED BY $(text "$password");"
			echo "GRANT ALL ON *.* TO 'root'@$(text "$from") WITH GRANT OPTION;"
		done
		[ -z "$database" ] || echo "CREATE DATABASE \`$database\`;"
	} | as_server mariadbd --no-defaults --datadir="$data" --bootstrap
fi
exec setpriv --reuid server --regid server --clear-groups mariadbd --no-defaults --datadir="$data" \
	--socket=/run/mysqld/mysqld.sock --skip-name-resolve "$@"
