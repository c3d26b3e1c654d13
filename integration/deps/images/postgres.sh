#!/bin/sh
# Supports what the tests use of the official image's entrypoint: POSTGRES_PASSWORD, POSTGRES_USER,
# POSTGRES_DB, and arguments for the server.
set -eu
: "${POSTGRES_PASSWORD:?must be set}"
user=${POSTGRES_USER:-postgres}
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
as_server() { setpriv --reuid server --regid server --clear-groups "$@"; }

if [ ! -s "$data/PG_VERSION" ]; then
	mkdir -p "$data"
	chown server: "$data"
	printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
	chown server: /tmp/password
	as_server "$bin/initdb" -D "$data" -U "$user" -A scram-sha-256 --pwfile=/tmp/password --no-sync \
		--encoding=UTF8 --locale=C.UTF-8
	rm /tmp/password
	echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
	if [ "${POSTGRES_DB:-$user}" != postgres ]; then
		echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\"" | as_server "$bin/postgres" --single -D "$data" postgres
	fi
fi
[ "${1:-}" != postgres ] || shift
exec setpriv --reuid server --regid server --clear-groups "$bin/postgres" -D "$data" -c "listen_addresses=*" \
	-c unix_socket_directories=/tmp "$@"
