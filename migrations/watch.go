package migrations

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
)

const (
	defaultEvery = 10 * time.Second
	watchTimeout = 5 * time.Second // for finding out what a migration waits for
)

// watch calls Options.Running at intervals while a migration is under way, until the caller calls
// stop.
func (r *running) watch(a *attempt) (stop func()) {
	if r.options.Running == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(a.stop.gone)
	finished := make(chan struct{})
	begun := time.Now()
	step, text := a.step, a.text+"\n"+a.wrap.Text // copied because a changes; either text may be sent
	go func() {
		defer close(finished)
		ticker := time.NewTicker(cmp.Or(r.options.Every, defaultEvery))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			waitsFor := a.sharedConn.waitsFor(ctx, text)
			if ctx.Err() == nil {
				r.options.Running(step, time.Since(begun), waitsFor)
			}
		}
	}()
	return func() {
		cancel()
		<-finished
	}
}

// waitsFor describes what the session waits for, as far as another connection can see it. It
// returns "" if the session waits for no other session's lock.
func (l *sharedConn) waitsFor(ctx context.Context, text string) string {
	if l.beside == nil || l.id == 0 || len(l.engine.Session.WaitsFor) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	conn, err := l.beside.Conn(ctx)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	if !l.running(ctx, conn, text) {
		return ""
	}
	for _, query := range l.engine.Session.WaitsFor {
		// The query may fail: not every server has these tables, nor every account the privilege.
		if all, err := texts(ctx, conn, query, l.id); err == nil && len(all) > 0 {
			return strings.Join(all, ", and ")
		}
	}
	return ""
}

// texts returns the rows of a query, each a text.
func texts(ctx context.Context, conn *sql.Conn, query string, id int64) (all []string, err error) {
	rows, err := conn.QueryContext(ctx, query, id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
