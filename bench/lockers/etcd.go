package lockers

import (
	"context"
	"errors"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

func onEtcd(server string) []Kind {
	return []Kind{{
		Name: "etcd concurrency", Server: server, Waits: "watches", Open: openEtcd, MeasureHeld: true,
		NoLocalWait: "to it, goroutines that share a session are one owner: they would need a mutex, or a session each",
	}}
}

// etcd uses the concurrency package of etcd's client, with one session per process and one mutex
// per lock. Two mutexes with the same name in one session have the same owner.
type etcd struct {
	client  *clientv3.Client
	session *concurrency.Session
}

func openEtcd(ctx context.Context, c Config) (Locker, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{strings.TrimPrefix(c.URL, "tcp://")}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, err
	}
	ttl := int((c.TTL + time.Second - 1) / time.Second)
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl))
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return etcd{client, session}, nil
}

func (l etcd) Lock(ctx context.Context, name string) (Unlock, error) {
	mutex := concurrency.NewMutex(l.session, name)
	if err := mutex.Lock(ctx); err != nil {
		return nil, err
	}
	return mutex.Unlock, nil
}

func (l etcd) Close() error { return errors.Join(l.session.Close(), l.client.Close()) }
