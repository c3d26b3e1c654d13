package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// startLocal runs the installed server as an instance that all tests of this process share.
func startLocal(e *engine) (*Server, error) {
	l, err := launch(e, local{})
	if err != nil {
		return nil, err
	}
	return &Server{url: l.root, log: l.logSinceReady, stop: l.process.kill}, nil
}

// local is a server that runs on this machine from a data directory of its own.
type local struct {
	engine  *engine
	program *program
	dir     string
	port    int
	durable bool
	args    []string // appended to the command
	before  []string // put before the command
	root    *url.URL
	process *process
	ready   int64 // the log's length when the server began to accept connections
}

// launch creates a data directory and starts a server on it. Another process, which isn't one of
// these tests, may take the free port before the server does. Then launch tries another port.
func launch(e *engine, wanted local) (*local, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w: installed servers are run on Linux only", errAbsent)
	}
	p, err := e.find()
	if err != nil {
		return nil, err
	}
	dir, err := copyTemplate(e, p)
	if err != nil {
		return nil, err
	}
	return launchOn(e, p, dir, wanted)
}

func launchOn(e *engine, p *program, dir string, wanted local) (*local, error) {
	var tried []error
	for range 3 {
		l := &local{engine: e, program: p, dir: dir, durable: wanted.durable, args: wanted.args, before: wanted.before}
		var err error
		if l.port, err = freePort(); err != nil {
			return nil, err
		}
		l.root = e.rootURL("127.0.0.1", l.port)
		if err = l.start(); err == nil {
			return l, nil
		}
		tried = append(tried, err)
	}
	return nil, errors.Join(tried...)
}

func (l *local) logPath() string { return filepath.Join(l.dir, "log") }

// start runs the server and blocks until it accepts connections.
func (l *local) start() error {
	before := fileSize(l.logPath())
	var err error
	command := slices.Concat(l.before, l.program.command(l.dir, l.port, l.durable), l.args)
	l.process, err = startProcess(l.logPath(), command)
	if err != nil {
		return err
	}
	if err := l.awaitReady(before); err != nil {
		l.process.kill()
		log := tail(l.logPath(), 20)
		return fmt.Errorf("%s on port %d: %w; the end of its log:\n%s", l.engine.name, l.port, err, log)
	}
	return nil
}

// startLimit is many times what any server takes to start on a busy machine.
const startLimit = 3 * time.Minute

// awaitReady polls the log. Any other way to find out whether the server is ready would leave an
// error in that same log.
func (l *local) awaitReady(from int64) error {
	deadline := time.After(startLimit)
	for {
		text, err := readFrom(l.logPath(), from)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte(l.program.ready)) {
			break
		}
		select {
		case <-l.process.done:
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("it accepted no connections within %s", startLimit)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := l.engine.ping(l.root); err != nil {
		return err
	}
	l.ready = fileSize(l.logPath())
	return nil
}

func (l *local) logSinceReady() ([]byte, error) { return readFrom(l.logPath(), l.ready) }

// freePort chooses a port below the range from which the kernel takes ports for outgoing
// connections. Otherwise a client that keeps dialing a killed server could be given that very port,
// and be connected to itself. No other call returns the port before this process has ended, in any
// process that runs these tests.
func freePort() (int, error) {
	var listen net.ListenConfig
	for range 100 {
		port := 12000 + rand.IntN(20000)
		if mine, err := reserve(port); err != nil {
			return 0, err
		} else if !mine {
			continue
		}
		if l, err := listen.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("found no free port between 12000 and 32000")
}

// copyTemplate makes a data directory. Initializing one takes seconds (6 for MySQL) and copying it
// a tenth of a second. So it is initialized once for each version of the server and of this code,
// and kept in the cache directory.
func copyTemplate(e *engine, p *program) (string, error) {
	template, err := template(e, p)
	if err != nil {
		return "", err
	}
	dir, err := newDir(e.name)
	if err != nil {
		return "", err
	}
	cp := exec.CommandContext(context.Background(), "cp", "-a", template+"/.", dir)
	if out, err := cp.CombinedOutput(); err != nil {
		return "", fmt.Errorf("copying %s: %w: %s", template, err, out)
	}
	return dir, nil
}

func template(e *engine, p *program) (string, error) {
	cache := cacheDirs()[0]
	templates := filepath.Join(cache, "data")
	key := sha256.Sum256([]byte(p.version + strings.Join(p.command("", 0, false), " ") + templateVersion))
	path := filepath.Join(templates, fmt.Sprintf("%s-%x", e.name, key[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(templates, 0o755); err != nil {
		return "", fmt.Errorf("%w (SQLLOCK_CACHE names another directory)", err)
	}
	building, err := os.MkdirTemp(templates, "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(building) }()
	if err := chownToServer(building); err != nil {
		return "", err
	}
	if err := p.init(building); err != nil {
		return "", fmt.Errorf("making a data directory for %s: %w", e.name, err)
	}
	if err := os.Rename(building, path); err != nil {
		if _, err := os.Stat(path); err == nil {
			return path, nil // another process was faster
		}
		return "", err
	}
	return path, nil
}

// templateVersion must change when an init function changes.
const templateVersion = "1"
