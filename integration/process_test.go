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

// patience is for what must happen soon, on a machine that is busy with all engines at once.
const patience = 60 * time.Second

// process is a worker as its test sees it. Its methods are safe for concurrent use.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  *json.Encoder
	log *tailBuffer

	mu      sync.Mutex // guards what follows
	next    int
	answers map[int]chan message
	gone    chan struct{} // closed when its stdout has ended
}

var errGone = errors.New("the worker process has ended")

// start runs a worker and waits until it is ready. It ends with the test, which then shows what it logged if it
// failed. Events go to hear, one at a time.
func start(t testing.TB, s setup, hear func(message)) *process {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self), log: &tailBuffer{}, answers: make(map[int]chan message), gone: make(chan struct{})}
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
	go p.listen(json.NewDecoder(stdout), ready, hear)
	select {
	case m := <-ready:
		if m.Err != nil {
			t.Fatalf("worker %s: %v", s.Holder, m.Err)
		}
	case <-p.gone:
		t.Fatalf("worker %s: %v", s.Holder, errGone)
	case <-time.After(patience):
		t.Fatalf("worker %s is not ready after %s", s.Holder, patience)
	}
	return p
}

// listen hears the worker out, until it has ended.
func (p *process) listen(out *json.Decoder, ready chan<- message, hear func(message)) {
	defer close(p.gone)
	for {
		var m message
		if out.Decode(&m) != nil {
			return
		}
		p.mu.Lock()
		answer := p.answers[m.ID]
		delete(p.answers, m.ID)
		p.mu.Unlock()
		switch {
		case m.Event == "ready":
			ready <- m
		case answer != nil:
			answer <- m
		case hear != nil:
			hear(m)
		}
	}
}

// send gives a command and answers where its answer will come.
func (p *process) send(name string, args any) (<-chan message, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	answer := make(chan message, 1)
	p.answers[p.next] = answer
	return answer, p.in.Encode(command{ID: p.next, Name: name, Args: text})
}

// ask does a command and waits for its answer. The error is the command's own; that there is no answer within the
// time fails the test.
func ask[Answer any](p *process, name string, args any, within time.Duration) (answer Answer, err error) {
	p.t.Helper()
	answers, err := p.send(name, args)
	if err != nil {
		return answer, fmt.Errorf("%w: %w", errGone, err)
	}
	return hear[Answer](p, name, answers, within)
}

// hear waits for the answer to a command that was sent.
func hear[Answer any](p *process, name string, answers <-chan message, within time.Duration) (answer Answer, err error) {
	p.t.Helper()
	select {
	case m := <-answers:
		if m.Err != nil {
			return answer, m.Err
		}
		err = json.Unmarshal(m.Value, &answer)
		return answer, err
	case <-p.gone:
		return answer, errGone
	case <-time.After(within):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its log has all goroutines' stacks then
		<-p.gone
		p.t.Fatalf("worker: no answer to %q within %s", name, within)
		return answer, nil
	}
}

// must is ask for a command that has to succeed.
func must[Answer any](p *process, name string, args any) Answer {
	p.t.Helper()
	answer, err := ask[Answer](p, name, args, patience)
	if err != nil {
		p.t.Fatalf("worker: %s: %v", name, err)
	}
	return answer
}

// kill is kill -9. It returns when the process is gone and all that it had said is heard.
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
		p.t.Errorf("letting a worker go on: %v", err)
	}
}

func (p *process) end() {
	p.kill()
	_ = p.cmd.Wait() // says "killed", which is what was asked for
	if text := p.log.String(); p.t.Failed() && text != "" {
		p.t.Logf("what worker %d logged at last:\n%s", p.cmd.Process.Pid, text)
	}
}

// tailBuffer keeps the last of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const tailBytes = 32 << 10 // what a worker of a hundred goroutines says when it is told to show them

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
