package dburl

import (
	"net/url"
	"strings"
)

// SQLServer parses sqlserver://user:pass@host:port?database=db, or the same with mssql://, and
// returns it with the scheme that go-mssqldb accepts. A path would be the name of an instance, so a
// database there is refused.
func SQLServer(raw string) (*url.URL, error) {
	rest, err := CutScheme(raw, "sqlserver", "mssql")
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("sqlserver://" + rest)
	if err != nil {
		return nil, Unparsable(raw)
	}
	if strings.ContainsRune(rest, '#') { // the driver would drop it and all that follows
		return nil, Invalid(raw, "it has a #: write it as %%23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Invalid(raw, "%v", err)
	}
	seen := make(map[string]bool)
	for name, values := range query { // the driver ignores case: "Database" is "database"
		lower := strings.ToLower(name)
		if len(values) > 1 || seen[lower] {
			return nil, Invalid(raw, "it has the parameter %s more than once", lower)
		}
		seen[lower] = true
	}
	switch path := strings.Trim(u.Path, "/"); {
	case u.Hostname() == "":
		return nil, Invalid(raw, "it names no host")
	case path != "" && u.Port() != "":
		return nil, Invalid(raw, "%q is where the name of an instance stands, which has no meaning beside a port; "+
			"name the database as ?database=%s", path, path)
	}
	return u, nil
}

// Parameter returns the value of a parameter of such a URL. It ignores the case of the name.
func Parameter(u *url.URL, name string) (value string, found bool) {
	for key, values := range u.Query() {
		if strings.EqualFold(key, name) {
			return values[0], true
		}
	}
	return "", false
}
