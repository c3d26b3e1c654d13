//go:build unix

package integration

import (
	"bufio"
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
)

// image is the container image of the commands.
type image struct{ name string }

// buildImage builds the image as a user does.
func buildImage(t *testing.T) image {
	t.Helper()
	im := image{"sqllock-test/commands:" + strings.ToLower(rand.Text())}
	build := exec.CommandContext(t.Context(), "make", "-C", "..", "image", "TAG="+im.name, "OUT="+t.TempDir())
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "--force", im.name).Run() })
	return im
}

// args returns the arguments of docker that run the image with as few rights as Kubernetes gives a
// restricted pod. The options come before the image.
func (im image) args(data string, options []string, args ...string) []string {
	all := append([]string{
		"run", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none",
		"--volume=" + data + ":/data", "--env=SQLLOCK_DATABASE_URL=sqlite:///data/locks.db",
	}, options...)
	return append(append(all, im.name), args...)
}

// run runs the image to its end.
func (im image) run(t *testing.T, data string, code int, says string, options []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", im.args(data, append([]string{"--rm"}, options...), args...)...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) {
		t.Errorf("in the image, %v %q ends with exit code %d: %s\nwant %d, and output that contains %q",
			options, args, got, out, code, says)
	}
}

// The commands work in the image, as a user without rights, on a file of SQLite. As the first
// process of a container, sqllock forwards the signals of docker stop.
func TestImage(t *testing.T) {
	t.Parallel()
	servers.Docker(t)
	im, data := buildImage(t), t.TempDir()
	if err := os.Chmod(data, 0o777); err != nil { // the image's user isn't this one
		t.Fatal(err)
	}
	im.run(t, data, 0, "", []string{"--entrypoint=sqllock-migrate"}, "own", "up")
	im.run(t, data, 0, "nightly", nil, "run", "report", "--note", "nightly", "--", "sqllock", "show", "report")
	im.run(t, data, 64, "no command", nil, "run", "report", "--", "sqllock", "nonsense")

	name := "sqllock-test-" + strings.ToLower(rand.Text())
	start := exec.CommandContext(t.Context(), "docker", im.args(data, []string{"--detach", "--name=" + name},
		"run", "report", "--", "sqllock", "wait", "nothing", "--held")...)
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", name).Run() })
	awaitLog(t, name, "nobody holds it")
	im.run(t, data, 75, "", nil, "run", "report", "--try", "--", "sqllock", "--version")
	if got := docker(t, "stop", "-t", "60", name); got != name {
		t.Errorf("docker stop says %q", got)
	}
	if got := docker(t, "inspect", "--format={{.State.ExitCode}} {{.Config.User}}", name); got != "143 65532:65532" {
		t.Errorf("the stopped container has the exit code and user %s; want 143 of the child that got SIGTERM", got)
	}
	im.run(t, data, 0, "sqllock version", nil, "run", "report", "--try", "--", "sqllock", "--version")
}

// docker runs a command of Docker, and returns its output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// awaitLog waits for a line of a container's output.
func awaitLog(t *testing.T, container, want string) {
	t.Helper()
	logs := exec.CommandContext(t.Context(), "docker", "logs", "--follow", container)
	stderr, err := logs.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(stepTimeout, func() { _ = logs.Process.Kill() })
	defer func() {
		late.Stop()
		_ = logs.Process.Kill()
		_ = logs.Wait()
	}()
	var all strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), want) {
			return
		}
		all.WriteString(lines.Text() + "\n")
	}
	t.Fatalf("the container doesn't write %q: %s", want, &all)
}
