// Package web shows the locks of a database on a live page. It is an [http.Handler] that an
// application mounts in its own server. `sqllock serve` is that handler with a server around it.
//
//	mux.Handle("/locks/", web.New(locks, &web.Options{
//		Prefix: "/locks",
//		Access: func(r *http.Request) (user string, level web.Level) {
//			if u := session(r); u.Admin {
//				return u.Name, web.LevelBreak
//			}
//			return "", web.LevelNone
//		},
//	}))
//
// # Pages
//
//	/                 the list of locks: search, filters, sorting; 200 rows a page
//	/lock?name=NAME   the holders of a name, who waits for them, and what was seen of it before
//	/break?name=NAME  takes a lock away from its holder, after a confirmation
//	/api/locks        the list as JSON, as `sqllock ls --json` writes it; the same filters
//	/api/locks/NAME   one name as JSON, as `sqllock show --json` writes it
//	/healthz          200 if the database has answered lately, otherwise 503; needs no Access
//
// A name in a path is escaped as by [url.PathEscape]. Clients and servers clean paths, which
// changes some names, such as "..". The address /api/lock?name=NAME takes every name.
//
// The pages are updated by server-sent events while somebody looks at them. However many look, the
// database is read once for all of them, every [Options.RefreshEvery] and less often if reading
// takes long. While nobody looks, it isn't read. Without JavaScript the pages reload.
//
// # Security
//
// Everybody who can reach the handler may read, and nobody may break, unless [Options.Access] says
// otherwise. A break is a POST that a browser sends from the page itself: requests from other
// sites are refused, by the headers that browsers add and by a cookie that other sites can't send.
// No script or style is inline, and the Content-Security-Policy says so. Names, notes and holders
// are text from other processes, and are treated as such.
package web
