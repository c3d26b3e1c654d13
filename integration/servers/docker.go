package servers

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	pullTimeout  = 5 * time.Minute
	startTimeout = 2 * time.Minute
)

// startContainer runs the engine's image. testcontainers-go's reaper removes the container if this
// process is killed. TESTCONTAINERS_RYUK_DISABLED=true turns the reaper off on machines that can't
// get its image.
func startContainer(e *engine) (*Server, error) {
	if err := dockerAnswers(); err != nil {
		return nil, err
	}
	image := e.image
	if other := os.Getenv(e.env("IMAGE")); other != "" {
		image = other
	}
	if err := haveImage(image); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var root *url.URL
	ready := wait.ForNop(func(ctx context.Context, c wait.StrategyTarget) (err error) {
		root, err = awaitContainer(ctx, e, c)
		return err
	})
	c, err := testcontainers.Run(ctx, image,
		testcontainers.WithExposedPorts(e.port), testcontainers.WithEnv(e.variables),
		testcontainers.WithCmd(e.args...), testcontainers.WithWaitStrategyAndDeadline(startTimeout, ready))
	stop := func() { _ = testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }
	if err != nil {
		defer stop()
		if c == nil {
			return nil, fmt.Errorf("running %s: %w", image, err)
		}
		text, _ := readContainerLog(c)
		return nil, fmt.Errorf("running %s: %w; its log:\n%s", image, err, text)
	}
	before, err := readContainerLog(c)
	if err != nil {
		defer stop()
		return nil, fmt.Errorf("reading the log of %s: %w", image, err)
	}
	return &Server{url: root, stop: stop, log: func() ([]byte, error) {
		text, err := readContainerLog(c)
		return text[min(len(before), len(text)):], err
	}}, nil
}

// awaitContainer polls the server until it responds. The images first start the server once without
// TCP, to prepare it.
func awaitContainer(ctx context.Context, e *engine, c wait.StrategyTarget) (*url.URL, error) {
	host, err := c.Host(ctx)
	if err != nil {
		return nil, err
	}
	port, err := c.MappedPort(ctx, e.port)
	if err != nil {
		return nil, err
	}
	root := e.rootURL(host, int(port.Num()))
	for {
		refused := e.ping(root)
		if refused == nil {
			return root, nil
		}
		state, err := c.State(ctx)
		if err != nil {
			return nil, err
		}
		if !state.Running {
			return nil, fmt.Errorf("the server ended with code %d", state.ExitCode)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; the last error was: %w", ctx.Err(), refused)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Docker skips the test, or fails it, if no Docker engine responds. It is for tests of what runs in
// a container.
func Docker(t testing.TB) {
	t.Helper()
	if err := dockerAnswers(); err != nil {
		missing(t, "docker", fmt.Errorf("no Docker engine responds, which make test-docker starts: %w", err))
	}
}

// dockerAnswers returns errAbsent if no Docker engine responds.
var dockerAnswers = sync.OnceValue(func() (err error) {
	// testcontainers-go panics if it can't find out where a Docker engine might be.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errAbsent, r)
		}
	}()
	log.SetDefault(log.NewNoopLogger()) // its errors have the same information
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return fmt.Errorf("%w: %w", errAbsent, err)
	}
	defer provider.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := provider.Client().Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("%w: %w", errAbsent, err)
	}
	return nil
})

// haveImage pulls the image unless it is present. The error wraps errAbsent if the image can't be
// pulled.
func haveImage(image string) error {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	_, err = provider.Client().ImageInspect(ctx, image)
	if !cerrdefs.IsNotFound(err) {
		return err
	}
	fmt.Fprintf(os.Stderr, "pulling %s\n", image)
	// testcontainers-go isn't used for the pull: without a network it retries for a quarter of an
	// hour.
	pull, err := provider.Client().ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: the image %s is not there and can't be pulled: %w", errAbsent, image, err)
	}
	return nil
}

func readContainerLog(c testcontainers.Container) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	r, err := c.Logs(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
