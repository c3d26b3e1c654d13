# Sourced by install.sh and images.sh: the directory for unpacked servers, and how to unpack
# packages of another Debian release than the system's.

# cache_dir prints the cache directory, as the head of install.sh describes it.
cache_dir() {
	local dir=${XDG_CACHE_HOME:-${HOME:-}/.cache}/sqllock
	[[ $EUID -ne 0 ]] || dir=/var/cache/sqllock
	dir=${SQLLOCK_CACHE:-$dir}
	[[ $dir == /* ]] || { echo "SQLLOCK_CACHE must be an absolute path, not '$dir'" >&2; return 2; }
	echo "$dir"
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror prints the Debian mirror that this machine's apt uses, if any.
debian_mirror() {
	command -v apt-get >/dev/null || return 0
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		grep -E '/debian/?$' | sort -u | head -n 1 || true
}

can_unpack() { [[ -n $(debian_mirror) && -r $keyring ]] && command -v dpkg-deb >/dev/null; }

# unpack RELEASE DIR PACKAGE... unpacks the packages and all their dependencies to DIR/root. It runs
# apt with a state of its own in DIR, so that the system's apt doesn't learn about that release. The
# machine's proxies apply.
unpack() {
	local release=$1 dir=$2 link deb
	shift 2
	mkdir -p "$dir"/{state/lists/partial,archives/partial} "$dir"/root/usr/{bin,sbin,lib,lib64} || return 1
	: >"$dir/status"
	echo "deb [signed-by=$keyring] $(debian_mirror) $release main" >"$dir/sources.list"
	cat >"$dir/apt.conf" <<-END
		Dir::State "$dir/state";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir";
		Dir::Cache::archives "$dir/archives";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Check-Valid-Until "false";
		Debug::NoLocking "true";
	END
	# A mirror's copy of sid may be older than its release file allows. The signatures are still
	# verified.
	APT_CONFIG=$dir/apt.conf apt-get update -q </dev/null &&
		APT_CONFIG=$dir/apt.conf apt-get install -qq -y --download-only "$@" </dev/null || return 1
	# /bin and /usr/bin are one directory in Debian. Without the links, two would be unpacked.
	for link in bin sbin lib lib64; do ln -sfn "usr/$link" "$dir/root/$link" || return 1; done
	for deb in "$dir"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/root" --keep-directory-symlink --no-same-owner || return 1
	done
}
