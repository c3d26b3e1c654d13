#!/usr/bin/env bash
# Builds the images sqllock-test/{postgres:15,postgres:18,mysql:9,mariadb:10.11} from Debian's
# packages, for machines that can't pull the official ones, and runs a command with them:
#
#   images.sh                   only builds the images; takes a second if they exist
#   images.sh go test ./…       builds, and runs the command with the environment that makes the tests use them
# The images have names of the project's own, so that they aren't mistaken for the official ones. If
# no Docker engine responds, the script starts one, as root, with a socket and storage of its own,
# and stops it at the end.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/unpack.sh"
cache=$(cache_dir)

say() { echo "images: $*" >&2; }
die() {
	say "$*"
	exit 1
}

work=
engine=
cleanup() {
	[[ -z $work ]] || rm -rf "$work"
	if [[ -n $engine ]]; then
		kill "$engine"
		wait "$engine" || true
	fi
}
trap cleanup EXIT

ensure_engine() {
	if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
		return
	fi
	[[ $EUID -eq 0 ]] || die "no Docker engine responds. Start one, or run this as root."
	"$here/install.sh" docker >&2
	command -v dockerd >/dev/null || die "dockerd is not installed."
	local run=/run/sqllock-docker driver
	mkdir -p "$run" "$cache/docker"
	export DOCKER_HOST=unix://$run/docker.sock
	for driver in overlay2 vfs; do # vfs, which copies, works on any file system
		dockerd --host "$DOCKER_HOST" --pidfile "$run/pid" --exec-root "$run/exec" --data-root "$cache/docker" \
			--storage-driver "$driver" >"$run/log" 2>&1 &
		engine=$!
		for _ in {1..150}; do
			if docker info >/dev/null 2>&1; then
				docker container prune -f >/dev/null # of a run that was killed
				return
			fi
			kill -0 "$engine" 2>/dev/null || break
			sleep 0.1
		done
		kill "$engine" 2>/dev/null || true
		wait "$engine" || true
		engine=
	done
	tail -n 20 "$run/log" >&2
	die "dockerd doesn't start; the end of its log is above."
}

# image NAME ENTRYPOINT PORT RELEASE PACKAGE...
image() {
	local name=sqllock-test/$1 entrypoint=$here/images/$2.sh port=$3 release=$4 recipe
	shift 4
	recipe=$({ declare -f image; echo "$release $*"; cat "$entrypoint"; } | sha256sum | cut -c 1-16)
	if [[ $(docker image inspect --format '{{index .Config.Labels "sqllock-test.recipe"}}' "$name" 2>/dev/null) == "$recipe" ]]; then
		return
	fi
	say "building $name from Debian $release"
	can_unpack || die "they are built from Debian's packages, and apt knows no Debian archive here."
	work=$(mktemp -d)
	local root=$work/root
	unpack "$release" "$work" "$@" dash coreutils util-linux sed grep mawk hostname libc-bin >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; die "the download failed, see above."; }
	[[ -e $root/bin/sh ]] || ln -s dash "$root/bin/sh"
	[[ -e $root/usr/bin/awk ]] || ln -s mawk "$root/usr/bin/awk"
	mkdir -p "$root"/{etc,root,proc,sys,dev,run,tmp,var/lib,var/tmp}
	chmod 1777 "$root"/{tmp,var/tmp}
	printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'server:x:999:999::/:/bin/sh' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'server:x:999:' >"$root/etc/group"
	rm -rf "$root"/usr/share/{doc,man,info}
	install -m 755 "$entrypoint" "$root/entrypoint.sh"
	chroot "$root" /sbin/ldconfig
	tar -c -C "$root" --owner=0 --group=0 . | docker import --change 'ENTRYPOINT ["/entrypoint.sh"]' \
		--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change "EXPOSE $port" \
		--change "LABEL sqllock-test.recipe=$recipe" - "$name" >/dev/null
	rm -rf "$work"
	work=
}

ensure_engine
image postgres:15 postgres 5432 bookworm postgresql-15
image postgres:18 postgres 5432 sid postgresql-18
image mysql:9 mysql 3306 sid mysql-server-core
image mariadb:10.11 mariadb 3306 bookworm mariadb-server-core mariadb-client-core
say "ready"
[[ $# -gt 0 ]] || exit 0

export SQLLOCK_TEST_PROVIDER=docker
export SQLLOCK_TEST_POSTGRES15_IMAGE=sqllock-test/postgres:15 SQLLOCK_TEST_POSTGRES18_IMAGE=sqllock-test/postgres:18
export SQLLOCK_TEST_MYSQL_IMAGE=sqllock-test/mysql:9 SQLLOCK_TEST_MARIADB_IMAGE=sqllock-test/mariadb:10.11
# The reaper's image would have to be pulled, and this script is for machines that can't pull.
export TESTCONTAINERS_RYUK_DISABLED=true
if [[ ${DOCKER_HOST:-unix:} == unix:* ]]; then
	# testcontainers-go mistakes a machine with a /.dockerenv for a container.
	export TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1
fi
"$@"
