package open

import (
	"strings"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// Members returns, for a URL that names several servers (postgres://host1:port,host2:port/db), the
// address of each. It returns nil for any other URL.
func Members(url string) []string {
	_, hosts, _, err := cutHosts(url)
	if err != nil || !strings.Contains(hosts, ",") {
		return nil
	}
	return strings.Split(hosts, ",")
}

// Member returns the URL of the same database on one other server of its cluster, with the same
// account and parameters. The address is host:port, or host for the engine's default port. An error
// wraps [dialect.ErrInvalid].
func Member(url, address string) (string, error) {
	before, _, after, err := cutHosts(url)
	if err != nil {
		return "", err
	}
	if address == "" || strings.ContainsAny(address, "@/?#(), ") {
		return "", dburl.Invalid(url, "%q isn't the address of another server of it: want host:port", address)
	}
	// Which server is meant is said, and it need not be one that takes writes.
	after, _ = dburl.CutParameters(after, strings.IndexByte(after, '?'), "target_session_attrs")
	return before + address + after, nil
}

// cutHosts splits a URL into what comes before the host and port, these, and the rest.
func cutHosts(url string) (before, hosts, after string, err error) {
	if _, err := find(url, false); err != nil {
		return "", "", "", err
	}
	const tcp = "@tcp(" // go-sql-driver's own form
	if at := strings.LastIndex(url, tcp); at >= 0 {
		hosts, after, found := strings.Cut(url[at+len(tcp):], ")")
		if !found {
			return "", "", "", dburl.Unparsable(url)
		}
		return url[:at+len(tcp)], hosts, ")" + after, nil
	}
	begin := strings.Index(url, "://") + len("://")
	end := len(url)
	if i := strings.IndexAny(url[begin:], "/?#"); i >= 0 {
		end = begin + i
	}
	begin += strings.LastIndexByte(url[begin:end], '@') + 1
	if begin == end {
		return "", "", "", dburl.Invalid(url, "it names no server")
	}
	return url[:begin], url[begin:end], url[end:], nil
}
