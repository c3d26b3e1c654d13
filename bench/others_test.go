package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sqllock/sqllock/integration/servers"
)

func redisTarget(t *testing.T, i *servers.Instance) *target {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: i.Addr()})
	t.Cleanup(func() { client.Close() })
	config, err := client.ConfigGet(t.Context(), "append*").Result()
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	about := "Redis " + field(info, "redis_version:") + ", in memory only"
	if config["appendonly"] == "yes" {
		about = "Redis " + field(info, "redis_version:") + ", appendonly yes, appendfsync " + config["appendfsync"]
	}
	own := 0.0 // the benchmark's own commands
	return &target{url: i.URL, instance: i, about: about, count: func(ctx context.Context) (counts, error) {
		info, err := client.Info(ctx, "stats").Result()
		if err != nil {
			return counts{}, err
		}
		own++
		n, err := strconv.ParseFloat(field(info, "total_commands_processed:"), 64)
		return counts{statements: n - own}, err
	}}
}

func etcdTarget(t *testing.T, i *servers.Instance) *target {
	t.Helper()
	text, err := get(t.Context(), "http://"+i.Addr()+"/version")
	if err != nil {
		t.Fatal(err)
	}
	var version struct{ Etcdserver string }
	if err := json.Unmarshal([]byte(text), &version); err != nil {
		t.Fatal(err)
	}
	return &target{
		url: i.URL, instance: i, about: "etcd " + version.Etcdserver + ", one member, fsync as it comes",
		count: func(ctx context.Context) (c counts, err error) {
			text, err := get(ctx, "http://"+i.Addr()+"/metrics")
			if err != nil {
				return c, err
			}
			c.statements, err = sum(text, "grpc_server_msg_received_total{")
			return c, err
		},
	}
}

// sum adds up the values of the metrics whose lines begin with prefix.
func sum(metrics, prefix string) (total float64, err error) {
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		line = strings.TrimSpace(line)
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", line, err)
		}
		total += value
	}
	return total, nil
}

// field returns the rest of the line after name in a text of lines.
func field(text, name string) string {
	_, rest, _ := strings.Cut(text, name)
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestSum(t *testing.T) {
	const text = "# HELP a x\na{m=\"1\"} 3\na{m=\"2\"} 1e+02\nab 7\n"
	if got, err := sum(text, "a{"); err != nil || got != 103 {
		t.Errorf("sum = %v, %v; want 103", got, err)
	}
	if _, err := sum("a{} x\n", "a{"); err == nil {
		t.Error("sum accepts a value that is not a number")
	}
	if got := field("redis_version:7.0.15\r\nredis_mode:x\r\n", "redis_version:"); got != "7.0.15" {
		t.Errorf("field = %q", got)
	}
}
