package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	terminal "golang.org/x/term"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

const (
	topLimit = 50_000 // how many locks, and how many waiters, are read
	topShare = 20     // the part of the time that is spent on reading and drawing at most: one in so many
)

// The escape sequences of a screen of its own, whose lines don't wrap and which has no cursor.
const (
	screenBegin = "\x1b[?1049h\x1b[?7l\x1b[?25l"
	screenEnd   = "\x1b[?25h\x1b[?7h\x1b[?1049l"
	home        = "\x1b[H"
	lineEnd     = "\x1b[K\r\n" // wipes the rest of the line
	wipeBelow   = "\x1b[K\x1b[J"
)

const topLong = `Show live in a terminal who holds what, who waits for what, and who is in whose way. GLOB selects
names, as for ls. Locks with a dead holder come first, then those for which somebody has waited longest.

Keys: 1 locks, 2 waiting, 3 blocking; up and down (or k and j), page up and page down, home; space stops and resumes
the view; q or Ctrl-C ends it.

The rates count what changed between two readings. A lock that was acquired and released in between isn't seen.
Reading takes at most a twentieth of the time: where there are very many locks, it is done less often than --interval
says. With --once, or if the output isn't a terminal, one frame is printed.`

func (a *app) top() *cobra.Command {
	once, interval := false, cli.Duration(defaultInterval)
	cmd := &cobra.Command{
		Use:     "top [GLOB]",
		Short:   "Show the locks live in a terminal",
		Long:    topLong,
		Example: "  sqllock top\n  sqllock top 'report/*' --interval 10s\n  sqllock top --once",
		Args:    cli.Arguments(0, 1, ""),
		RunE: func(_ *cobra.Command, args []string) error {
			if interval == 0 {
				return cli.Usagef("--interval must be longer than 0")
			}
			matches := (&lsFlags{}).matches(args)
			return a.whileReading(func(ctx context.Context, db *connection) error {
				if once || a.json || !isTerminal(a.stdout) {
					return a.topOnce(ctx, db, matches)
				}
				return a.topLive(ctx, db, matches, time.Duration(interval))
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one frame")
	cmd.Flags().Var(&interval, "interval", "how often the database is read at most")
	return cmd
}

// topReading is what one reading of the database has found.
type topReading struct {
	*inspect.Snapshot
	at  time.Time
	err error
}

// readTop reads the locks and waiters whose names match.
func readTop(ctx context.Context, db *connection, matches func(inspect.Lock) bool) topReading {
	r := topReading{at: time.Now()}
	if r.Snapshot, r.err = inspect.Read(ctx, db.locks, false, topLimit); r.err == nil {
		r.Snapshot = r.Select(func(name string) bool { return matches(inspect.Lock{Name: name}) })
	}
	return r
}

// topOnce prints one frame.
func (a *app) topOnce(ctx context.Context, db *connection, matches func(inspect.Lock) bool) error {
	r := readTop(ctx, db, matches)
	if r.err != nil {
		return r.err
	}
	a.document.Locks = &r.Locks
	v := topView{colour: colours(a.stdout)}
	v.see(r)
	a.print("%s", strings.Join(v.frame(0, 0), "\n"))
	return nil
}

// topLive shows the locks until ctx ends or the user quits.
func (a *app) topLive(
	ctx context.Context, db *connection, matches func(inspect.Lock) bool, interval time.Duration,
) error {
	first := readTop(ctx, db, matches) // an error is better now than on the screen
	if first.err != nil {
		return first.err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	leave, keys, err := a.enterScreen(ctx)
	if err != nil {
		return err
	}
	defer leave()
	resized, forget := onResize()
	defer forget()
	v := &topView{colour: colours(a.stdout), interactive: keys != nil}
	v.see(first)
	readings := make(chan topReading)
	go readTopAgain(ctx, db, matches, interval, readings)
	for {
		a.draw(v)
		select {
		case <-ctx.Done():
			return nil
		case r := <-readings:
			v.see(r)
		case <-resized:
		case key, ok := <-keys:
			if !ok || v.press(key) {
				return nil
			}
		}
	}
}

// readTopAgain sends a reading after each interval, until ctx ends.
func readTopAgain(
	ctx context.Context, db *connection, matches func(inspect.Lock) bool, interval time.Duration,
	readings chan<- topReading,
) {
	pause := interval
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		r := readTop(ctx, db, matches)
		select {
		case <-ctx.Done():
			return
		case readings <- r:
		}
		pause = max(interval, topShare*time.Since(r.at))
	}
}

// enterScreen switches the terminal to a screen of its own. leave switches back. keys is nil if
// stdin isn't a terminal, and is closed when stdin ends.
func (a *app) enterScreen(ctx context.Context) (leave func(), keys <-chan string, err error) {
	restore := func() {}
	if in, ok := a.stdin.(*os.File); ok && isTerminal(in) {
		before, err := terminal.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, nil, cli.Usagef("the terminal can't be used: %v; --once prints one frame", err)
		}
		restore = func() { _ = terminal.Restore(int(in.Fd()), before) }
		keys = readKeys(ctx, in)
	}
	_, _ = io.WriteString(a.stdout, screenBegin)
	return func() {
		_, _ = io.WriteString(a.stdout, screenEnd)
		restore()
	}, keys, nil
}

// readKeys sends the keys that are pressed until ctx ends.
func readKeys(ctx context.Context, in io.Reader) <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		buffer := make([]byte, 256)
		for {
			n, err := in.Read(buffer)
			for rest := string(buffer[:n]); rest != ""; {
				var key string
				key, rest = nextKey(rest)
				select {
				case keys <- key:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}

// nextKey splits the first key off what a terminal has sent. That of a special key is a sequence:
// ESC, [ or O, parameters, and a last byte.
func nextKey(input string) (key, rest string) {
	if len(input) < 3 || input[0] != '\x1b' || input[1] != '[' && input[1] != 'O' {
		return input[:1], input[1:]
	}
	for i := 2; i < len(input); i++ {
		if input[i] >= '@' && input[i] <= '~' {
			return input[:i+1], input[i+1:]
		}
	}
	return input, ""
}

// draw writes a frame in place of the one before.
func (a *app) draw(v *topView) {
	width, height := 80, 24
	if out, ok := a.stdout.(*os.File); ok {
		if w, h, err := terminal.GetSize(int(out.Fd())); err == nil && w > 0 && h > 0 {
			width, height = w, h
		}
	}
	_, _ = io.WriteString(a.stdout, home+strings.Join(v.frame(width, height), lineEnd)+wipeBelow)
}
