package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock/inspect"
	"github.com/sqllock/sqllock/sqllock/web"
)

// defaultListen is where serve listens.
const defaultListen = "127.0.0.1:8470"

// The limits of the server. Live pages set the time for each of their writes by themselves.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	endTimeout    = 3 * time.Second  // how long a request that is under way may take when serve is told to end
	firstReading  = 30 * time.Second // how long the database may take before serve begins
)

// serveFlags are the flags of serve.
type serveFlags struct {
	listen, cert, key string
	auth              []string
	breakers          []string
	allowBreak        bool
	insecure          bool
	refresh           cli.Duration
}

const serveLong = `Serve a live page of the locks: who holds what, since when, who waits for whom; with search, a page
for each name, a JSON API (/api/locks, /api/locks/NAME) and /healthz, which answers 503 while the database doesn't
answer. The database is read every --refresh, once for all viewers, and only while somebody looks.

By default serve listens on this machine only, everybody on it may read, and nobody may break a lock. --allow-break lets
visitors break locks, after the confirmation that sqllock break asks for; --breaker lets some users of --auth do that.
Each break is logged and recorded, with the user and the reason.

--auth USER:FILE admits that user only, with the password in the first line of FILE; --auth USER:env:VARIABLE takes the
password from a variable. Give it once for each user. To listen beyond this machine, serve wants --auth and a TLS
certificate, or --insecure, for instance behind a proxy that does both.

An application mounts the same page in its own server: package sqllock/web.`

func (a *app) serve() *cobra.Command {
	f := &serveFlags{listen: defaultListen, refresh: cli.Duration(2 * time.Second)}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a live page of the locks",
		Long:  serveLong,
		Example: "  sqllock serve\n  sqllock serve --allow-break\n  sqllock serve --listen :8470 --auth " +
			"anna:/run/secrets/anna --breaker anna \\\n      --tls-cert cert.pem --tls-key key.pem",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			users, err := f.check()
			if err != nil {
				return err
			}
			return a.whileReading(func(ctx context.Context, db *connection) error {
				return a.serveUntil(ctx, db, f, users)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", defaultListen, "the `address` to listen on; with port 0 any free one")
	flags.StringArrayVar(&f.auth, "auth", nil, "admit this `USER:FILE`, with the password in FILE, or "+
		"USER:env:VARIABLE; may be repeated")
	flags.BoolVar(&f.allowBreak, "allow-break", false, "let everybody who may read also break locks")
	flags.StringArrayVar(&f.breakers, "breaker", nil, "let this `USER` of --auth break locks; may be repeated")
	flags.StringVar(&f.cert, "tls-cert", "", "a `file` with the TLS certificate and its chain (PEM)")
	flags.StringVar(&f.key, "tls-key", "", "a `file` with the certificate's private key (PEM)")
	flags.BoolVar(&f.insecure, "insecure", false, "listen beyond this machine without --auth or without TLS")
	flags.Var(&f.refresh, "refresh", "how often the database is read while somebody looks")
	return cmd
}

// check returns the users of --auth, or an error if the flags don't fit together.
func (f *serveFlags) check() (users, error) {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, cli.Usagef("--listen %s: want HOST:PORT, such as %s", f.listen, defaultListen)
	}
	if (f.cert == "") != (f.key == "") {
		return nil, cli.Usagef("--tls-cert and --tls-key go together")
	}
	found, err := usersOf(f.auth)
	if err != nil {
		return nil, err
	}
	for _, name := range f.breakers {
		if _, known := found[name]; !known {
			return nil, cli.Usagef("--breaker %s: there is no such user; give --auth %s:FILE too", name, name)
		}
	}
	secured := len(found) > 0 && f.cert != ""
	switch {
	case isLoopback(host) || secured || f.insecure:
		return found, nil
	case len(found) > 0:
		return nil, cli.Usagef("--listen %s is reached from other machines, and passwords would be sent in the clear: "+
			"give --tls-cert and --tls-key, or --insecure if a proxy in front of this does TLS", f.listen)
	}
	return nil, cli.Usagef("--listen %s is reached from other machines, and anybody could read who does what: give "+
		"--auth, --tls-cert and --tls-key, or --insecure if a proxy in front of this does that", f.listen)
}

// access returns who may do what.
func (f *serveFlags) access(users users) func(*http.Request) (string, web.Level) {
	may := map[string]bool{}
	for _, name := range f.breakers {
		may[name] = true
	}
	return func(r *http.Request) (string, web.Level) {
		name, _, _ := r.BasicAuth() // admitted has checked the password
		if len(users) == 0 {
			name = ""
		}
		if f.allowBreak || may[name] {
			return name, web.LevelBreak
		}
		return name, web.LevelRead
	}
}

// serveUntil serves the page until ctx ends.
func (a *app) serveUntil(ctx context.Context, db *connection, f *serveFlags, users users) error {
	limit, cancel := context.WithTimeout(ctx, firstReading)
	_, err := inspect.Read(limit, db.locks, false, 1) // an error is better now than on the page
	cancel()
	if err != nil {
		return err
	}
	listener, local, err := a.listener(ctx, f)
	if err != nil {
		return err
	}
	page := web.New(db.locks, &web.Options{
		Access: f.access(users), Logger: a.logger(), RefreshEvery: time.Duration(f.refresh),
	})
	viewers, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler:           admitted(page, users, local),
		BaseContext:       func(net.Listener) context.Context { return viewers },
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.logger().Handler(), slog.LevelInfo), // such as a failed TLS handshake
	}
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		end() // the pages that are being updated would never end by themselves
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if server.Shutdown(limit) != nil {
			_ = server.Close()
		}
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the page: %w", err)
	}
	<-closed
	return nil
}

// listener listens, and prints the address. local reports that no other machine can reach it.
func (a *app) listener(ctx context.Context, f *serveFlags) (listener net.Listener, local bool, err error) {
	scheme, config := "http", (*tls.Config)(nil)
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, false, cli.Usagef("--tls-cert, --tls-key: %v", err)
		}
		scheme = "https"
		config = &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		}
	}
	if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen); err != nil {
		return nil, false, cli.Usagef("--listen: %v", err)
	}
	host, _, _ := net.SplitHostPort(f.listen)
	at, _, _ := net.SplitHostPort(listener.Addr().String())
	local = isLoopback(at)
	if isLoopback(host) && !local { // localhost may be anything in /etc/hosts
		_ = listener.Close()
		return nil, false, cli.Usagef("--listen %s: that is %s here, which other machines can reach", f.listen, at)
	}
	a.print("%s://%s/", scheme, listener.Addr())
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	return listener, local, nil
}
