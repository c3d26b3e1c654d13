package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// clockSkewFlag adds the flag for commands that hold locks, and for doctor, which judges it.
func (a *app) clockSkewFlag(flags *pflag.FlagSet) {
	flags.Var(&a.clockSkew, "clock-skew", "the greatest difference between the clocks of the servers that may serve "+
		"this database: rely on a lease for so much less (default 0s; see sqllock doctor --member)")
}

// members are the other servers of a cluster.
type members struct {
	of     []sqllock.Member
	closes []io.Closer
}

// members opens the servers that the URL of the database names, and those of --member: a URL, or
// an address on which the database's own URL is valid too. It doesn't connect. A password goes to
// no server but these, so the addresses that a server reports for its cluster are only shown.
func (a *app) members(named []string) (*members, error) {
	url, err := a.database.URL()
	if err != nil {
		return nil, err
	}
	found := &members{}
	for _, member := range append(open.Members(url), named...) {
		if err := found.add(url, member); err != nil {
			return nil, errors.Join(err, found.close())
		}
	}
	return found, nil
}

func (m *members) add(url, member string) (err error) {
	name := member
	if !strings.Contains(member, "://") {
		if member, err = open.Member(url, member); err != nil {
			return cli.Usagef("--member %q: %v", name, err)
		}
	} else {
		name = open.Redact(member)
	}
	db, err := open.Reading(member)
	if err != nil {
		return fmt.Errorf("--member: %w", err)
	}
	db.DB.SetMaxOpenConns(1)
	m.of = append(m.of, sqllock.Member{Name: name, Dialect: db.Dialect})
	if closer, ok := db.Dialect.(io.Closer); ok {
		m.closes = append(m.closes, closer)
	}
	m.closes = append(m.closes, db.DB)
	return nil
}

func (m *members) close() (err error) {
	for _, c := range m.closes {
		err = errors.Join(err, c.Close())
	}
	return err
}
