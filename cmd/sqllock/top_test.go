//go:build unix

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// screen is the command in a pseudo terminal.
type screen struct {
	*exec.Cmd
	t      *testing.T
	file   *os.File // the user's side
	output *lockedBuffer
	gone   chan struct{}
}

// inTerminal starts a command line in a terminal.
func inTerminal(t *testing.T, line string) *screen {
	t.Helper()
	c := &screen{
		Cmd: self(t, "", strings.Fields(line)...), t: t, output: new(lockedBuffer), gone: make(chan struct{}),
	}
	var err error
	if c.file, err = pty.StartWithSize(c.Cmd, &pty.Winsize{Rows: 10, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.file.Close()
	})
	go func() {
		defer close(c.gone)
		buffer := make([]byte, 1<<16)
		for {
			n, err := c.file.Read(buffer)
			_, _ = c.output.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	return c
}

// frame returns what was drawn last.
func (c *screen) frame() string {
	text := c.output.String()
	return text[max(0, strings.LastIndex(text, home)):]
}

// shows waits for a frame with a text.
func (c *screen) shows(text string) {
	c.t.Helper()
	for begun := time.Now(); !strings.Contains(c.frame(), text); time.Sleep(time.Millisecond) {
		if time.Since(begun) > stepTimeout {
			c.t.Fatalf("no frame with %q, but %q", text, c.frame())
		}
	}
}

func (c *screen) press(keys string) {
	c.t.Helper()
	if _, err := c.file.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the end, with exit code 0 and the terminal as it was.
func (c *screen) end() {
	c.t.Helper()
	select {
	case <-c.gone:
	case <-time.After(stepTimeout):
		c.t.Fatalf("has not ended within %v: %q", stepTimeout, c.frame())
	}
	_ = c.Wait()
	if code := exitCode(c.Cmd); code != 0 || !strings.HasSuffix(c.output.String(), screenEnd) {
		c.t.Errorf("ended with %d and %q", code, c.frame())
	}
}

func TestTop(t *testing.T) {
	db := newDatabase(t)
	one := holder(t, "report/nightly --identity first --note a-note")
	if _, err := db.ExecContext(t.Context(), "UPDATE sqllock_locks SET note = char(27) || '[31mred'"); err != nil {
		t.Fatal(err)
	}
	waiting := start(t, "", "run report/nightly --identity second --fair --events json -- true")
	waiting.await("waiting")
	until(t, "a waiter in the queue", func() bool {
		return query(t, db, "SELECT count(*) FROM sqllock_waiters") > 0
	})
	check(t, []want{
		{"top", 0, "held 1  expired 0  waiting 1  longest", ""},
		{"top --once", 0, "\uFFFD[31mred", ""},
		{"top nosuch*", 0, "held 0  expired 0  waiting 0\n", ""},
		{"top --interval 0", 64, "", "longer than 0"},
		{"top a b", 64, "", "too many"},
	})
	if locks := *documentOf(t, 0, "top").Locks; len(locks) != 1 || locks[0].Waiters != 1 {
		t.Errorf("top --json has %+v", locks)
	}

	live := inTerminal(t, "top --interval 20ms")
	live.shows("first")
	live.shows("acquired 0.0/s")
	live.press("2")
	live.shows("WAITER")
	live.shows("second")
	live.press("3")
	live.shows("report/nightly (lock) is held by first, for")
	live.shows("  1. second, for")
	live.press("1")
	if err := pty.Setsize(live.file, &pty.Winsize{Rows: 10, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	live.shows("LONGEST")
	live.shows("\uFFFD[31mred")
	one.finish()
	waiting.end(0)
	live.shows("held 0")
	live.press("q")
	live.end()
	if strings.Contains(live.output.String(), "\x1b[31mred") {
		t.Error("a note has coloured the terminal")
	}
}

// Ctrl-C and a signal end top, and the terminal is as it was before.
func TestTopEnds(t *testing.T) {
	newDatabase(t)
	live := inTerminal(t, "top")
	live.shows("held 0")
	live.press("\x03")
	live.end()
	live = inTerminal(t, "top")
	live.shows("held 0")
	if err := live.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	live.end()
}

// While the view is stopped it doesn't change, and it goes on where the user says.
func TestTopStops(t *testing.T) {
	newDatabase(t)
	live := inTerminal(t, "top --interval 20ms")
	live.shows("held 0")
	live.press(" ")
	live.shows("stopped")
	p := holder(t, "a")
	if got := live.frame(); !strings.Contains(got, "held 0") {
		t.Errorf("stopped, it shows %q", got)
	}
	live.press(" ")
	live.shows("held 1")
	p.finish()
	live.press("q")
	live.end()
}

// A frame has as many lines and columns as the terminal, also with names that are hostile or wide.
func TestTopFits(t *testing.T) {
	v := new(topView)
	locks := make([]inspect.Lock, 1000)
	for i := range locks {
		locks[i] = inspect.Lock{
			Name: "\x1b[2J\r\n鎖鎖鎖鎖鎖鎖鎖鎖\u202e" + strings.Repeat("x", i),
			Kind: sqllock.KindLock, State: sqllock.StateHeld, Fence: int64(i),
			Holder: "持有者持有者持有者", Note: strings.Repeat("界", i), Since: time.Unix(int64(i), 0),
		}
	}
	v.see(topReading{Snapshot: &inspect.Snapshot{Locks: locks}, at: time.Now()})
	for _, key := range []string{"", "j", "\x1b[6~", "k", "\x1b[5~", "g"} {
		v.press(key)
		for _, size := range [][2]int{{80, 24}, {20, 5}, {3, 1}, {1, 1}, {500, 100}} {
			lines := v.frame(size[0], size[1])
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, line := range lines {
				if width := screenWidth(line); width > size[0] || strings.ContainsAny(line, "\x1b\r\n\u202e") {
					t.Errorf("%v: a line has %d columns: %q", size, width, line)
				}
			}
		}
	}
}

// screenWidth returns how many columns a line takes, by the wide characters that the test has.
func screenWidth(line string) (width int) {
	for _, r := range line {
		if width++; r >= 0x2E80 && r < 0xA000 {
			width++
		}
	}
	return width
}

func TestNextKey(t *testing.T) {
	for _, test := range [][3]string{
		{"qj", "q", "j"},
		{"\x1b[6~q", "\x1b[6~", "q"},
		{"\x1b[Aq", "\x1b[A", "q"},
		{"\x1bOBq", "\x1bOB", "q"},
		{"\x1b", "\x1b", ""},
		{"\x1b[6", "\x1b[6", ""},
	} {
		if key, rest := nextKey(test[0]); key != test[1] || rest != test[2] {
			t.Errorf("%q: got %q and %q, want %q and %q", test[0], key, rest, test[1], test[2])
		}
	}
}
