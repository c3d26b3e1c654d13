package cli

import (
	"cmp"
	"os"
	"os/user"
)

// Operator names the person at the keyboard: user@host.
func Operator() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(name, "somebody") + "@" + cmp.Or(host, "somewhere")
}
