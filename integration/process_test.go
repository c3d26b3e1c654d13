package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stepTimeout is the limit for what must happen soon, on a machine that is busy with all engines at
// once.
const stepTimeout = 60 * time.Second

// process is a worker from the test's point of view. Its methods are safe for concurrent use.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  *json.Encoder
	log *tailBuffer

	mu      sync.Mutex // guards next and replies
	next    int
	replies map[int]chan message
	gone    chan struct{} // closed when the worker's stdout has ended
}

var errGone = errors.New("the worker process has ended")

// start runs a worker and waits until it is ready. The worker ends with the test, which shows the
// worker's log if it failed. Events are passed to receive, one at a time.
func start(t testing.TB, s setup, receive func(message)) *process {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		t: t, cmd: exec.Command(self), log: &tailBuffer{},
		replies: make(map[int]chan message), gone: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	p.cmd.Stderr = p.log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in = json.NewEncoder(stdin)
	t.Cleanup(p.end)
	ready := make(chan message, 1)
	go p.listen(json.NewDecoder(stdout), ready, receive)
	select {
	case m := <-ready:
		if m.Err != nil {
			t.Fatalf("worker %s: %v", s.Holder, m.Err)
		}
	case <-p.gone:
		t.Fatalf("worker %s: %v", s.Holder, errGone)
	case <-time.After(stepTimeout):
		t.Fatalf("worker %s is not ready after %s", s.Holder, stepTimeout)
	}
	return p
}

// listen reads the worker's messages until it has ended.
func (p *process) listen(out *json.Decoder, ready chan<- message, receive func(message)) {
	defer close(p.gone)
	for {
		var m message
		if out.Decode(&m) != nil {
			return
		}
		p.mu.Lock()
		reply := p.replies[m.ID]
		delete(p.replies, m.ID)
		p.mu.Unlock()
		switch {
		case m.Event == "ready":
			ready <- m
		case reply != nil:
			reply <- m
		case receive != nil:
			receive(m)
		}
	}
}

// send sends a command and returns the channel on which its reply will arrive.
func (p *process) send(name string, args any) (<-chan message, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	reply := make(chan message, 1)
	p.replies[p.next] = reply
	return reply, p.in.Encode(command{ID: p.next, Name: name, Args: text})
}

// ask sends a command and waits for its reply. The error is the command's own. If there is no reply
// in time, the test fails.
func ask[Reply any](p *process, name string, args any, within time.Duration) (reply Reply, err error) {
	p.t.Helper()
	replies, err := p.send(name, args)
	if err != nil {
		return reply, fmt.Errorf("%w: %w", errGone, err)
	}
	return receive[Reply](p, name, replies, within)
}

// receive waits for the reply to a command that was sent.
func receive[Reply any](
	p *process, name string, replies <-chan message, within time.Duration,
) (reply Reply, err error) {
	p.t.Helper()
	select {
	case m := <-replies:
		if m.Err != nil {
			return reply, m.Err
		}
		err = json.Unmarshal(m.Value, &reply)
		return reply, err
	case <-p.gone:
		return reply, errGone
	case <-time.After(within):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // makes it log the stacks of all goroutines
		<-p.gone
		p.t.Fatalf("worker: no reply to %q within %s", name, within)
		return reply, nil
	}
}

// must is like ask for a command that has to succeed.
func must[Reply any](p *process, name string, args any) Reply {
	p.t.Helper()
	reply, err := ask[Reply](p, name, args, stepTimeout)
	if err != nil {
		p.t.Fatalf("worker: %s: %v", name, err)
	}
	return reply
}

// kill kills the process (kill -9), and returns when it is gone and all its messages have been
// received.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

func (p *process) stop() {
	p.t.Helper()
	if err := stopProcess(p.cmd.Process); err != nil {
		p.t.Errorf("stopping a worker: %v", err)
	}
}

func (p *process) cont() {
	p.t.Helper()
	if err := contProcess(p.cmd.Process); err != nil {
		p.t.Errorf("resuming a worker: %v", err)
	}
}

func (p *process) end() {
	p.kill()
	_ = p.cmd.Wait() // the error is "killed", as requested
	if text := p.log.String(); p.t.Failed() && text != "" {
		p.t.Logf("the end of worker %d's log:\n%s", p.cmd.Process.Pid, text)
	}
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const tailBytes = 32 << 10 // enough for the stacks of a hundred goroutines

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	if excess := b.text.Len() - tailBytes; excess > tailBytes {
		b.text.Next(excess)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.Bytes()
	return string(text[max(0, len(text)-tailBytes):])
}
