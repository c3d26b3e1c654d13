#!/bin/sh
# Supports what the tests use of the official image's entrypoint: MYSQL_ROOT_PASSWORD,
# MYSQL_ROOT_HOST, MYSQL_DATABASE, and arguments for the server.
set -eu
: "${MYSQL_ROOT_PASSWORD:?must be set}"
data=/var/lib/mysql
as_server() { setpriv --reuid server --regid server --clear-groups "$@"; }
text() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

[ "${1:-}" != mysqld ] || shift
if [ ! -d "$data/mysql" ]; then
	mkdir -p "$data" /run/mysqld
	chown server: "$data" /run/mysqld
	root="'root'@$(text "${MYSQL_ROOT_HOST:-%}")"
	{
		echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(text "$MYSQL_ROOT_PASSWORD");"
		echo "CREATE USER $root IDENTIFIED BY $(text "$MYSQL_ROOT_PASSWORD");"
		echo "GRANT ALL ON *.* TO $root WITH GRANT OPTION;"
		[ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"
	} >/tmp/users.sql
	chown server: /tmp/users.sql
	as_server mysqld --no-defaults --datadir="$data" --secure-file-priv=NULL --initialize-insecure --init-file=/tmp/users.sql \
		--innodb-flush-log-at-trx-commit=0
	rm /tmp/users.sql
fi
exec setpriv --reuid server --regid server --clear-groups mysqld --no-defaults --datadir="$data" --mysqlx=OFF \
	--secure-file-priv=NULL --socket=/run/mysqld/mysqld.sock --skip-name-resolve "$@"
