package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// groupReplication is the name of MySQL's group replication in SQLLOCK_TEST_REQUIRE.
const groupReplication = "group-replication"

// groupMembers is the size of a group: the smallest in which a majority survives the death of one.
const groupMembers = 3

// Group starts a group of three MySQL servers that no other test uses, and blocks until all of them
// are members, which takes half a minute. It has one primary, or every member is one. Each instance
// is a member, with the URL of the same empty database. A dead member is expelled as soon as the
// group suspects it, which takes five seconds. If a group can't be run here, the test is skipped,
// or fails if SQLLOCK_TEST_REQUIRE names "group-replication".
func Group(t testing.TB, multiPrimary bool) []*Instance {
	t.Helper()
	running.see(t)
	members, err := launchGroup(multiPrimary)
	attachAll(t, members)
	if err == nil {
		err = formGroup(t.Context(), members)
	}
	if err != nil {
		missing(t, groupReplication, err)
	}
	u, err := mysql().createDatabase(t.Context(), members[0].root)
	if err != nil {
		t.Fatal(err)
	}
	instances := make([]*Instance, len(members))
	for i, l := range members {
		there := *u
		there.Host = l.root.Host
		instances[i] = &Instance{t: t, local: l, URL: there.String()}
		instances[i].CatchUpGroup(t, instances[0])
	}
	return instances
}

// CatchUpGroup blocks until i has everything that another member of its group has committed so far.
func (i *Instance) CatchUpGroup(t testing.TB, member *Instance) {
	t.Helper()
	var committed string
	member.query(t, &committed, "SELECT @@global.gtid_executed")
	i.await(t, "caught up with the group", "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1) = 0", committed)
}

// launchGroup starts the servers. It returns those that did start along with the error.
func launchGroup(multiPrimary bool) (members []*local, err error) {
	p, err := mysql().find()
	if err != nil {
		return nil, err
	}
	peers := make([]string, groupMembers)
	for i := range peers {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		peers[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	onOff := map[bool]string{false: "OFF", true: "ON"}
	for i, peer := range peers {
		member := *p
		member.command = func(dir string, port int, durable bool) []string {
			command := slices.DeleteFunc(p.command(dir, port, durable), func(arg string) bool {
				return arg == "--skip-log-bin"
			})
			return append(command,
				"--server-id="+strconv.Itoa(i+1), "--report-host=127.0.0.1", "--report-port="+strconv.Itoa(port),
				"--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog", "--sync-binlog=0",
				"--plugin-load-add=group_replication.so",
				"--loose-group-replication-group-name=8a94f357-aab4-11df-86ab-c80aa9429562",
				"--loose-group-replication-start-on-boot=OFF",
				"--loose-group-replication-local-address="+peer,
				"--loose-group-replication-group-seeds="+strings.Join(peers, ","),
				"--loose-group-replication-single-primary-mode="+onOff[!multiPrimary],
				"--loose-group-replication-enforce-update-everywhere-checks="+onOff[multiPrimary],
				"--loose-group-replication-recovery-get-public-key=ON",
				"--loose-group-replication-member-expel-timeout=0")
		}
		if err := hasPlugin(p); err != nil {
			return members, err
		}
		dir, err := copyTemplate(mysql(), p)
		if err != nil {
			return members, err
		}
		l, err := launchOn(mysql(), &member, dir, local{})
		if err != nil {
			return members, err
		}
		members = append(members, l)
	}
	return members, nil
}

// hasPlugin returns an error if the server comes without group replication.
func hasPlugin(p *program) error {
	dirs := []string{"/usr/lib/mysql/plugin"}
	for _, arg := range p.command("", 0, false) {
		if dir, ok := strings.CutPrefix(arg, "--plugin-dir="); ok {
			dirs = []string{dir}
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "group_replication.so")); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: no group_replication.so in %q", errAbsent, dirs)
}

// formGroup makes a group of the servers: the first one bootstraps it, the others join.
func formGroup(ctx context.Context, members []*local) error {
	for i, l := range members {
		statements := []string{
			"CHANGE REPLICATION SOURCE TO SOURCE_USER='root', SOURCE_PASSWORD='sqllock' " +
				"FOR CHANNEL 'group_replication_recovery'",
			"START GROUP_REPLICATION",
		}
		if i == 0 {
			statements = slices.Insert(statements, 1, "SET GLOBAL group_replication_bootstrap_group=ON")
			statements = append(statements, "SET GLOBAL group_replication_bootstrap_group=OFF")
		}
		for _, statement := range statements {
			if err := l.engine.exec(ctx, l.root, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	return awaitGroup(ctx, members[0].root, len(members))
}

func awaitGroup(ctx context.Context, member *url.URL, members int) error {
	for deadline := time.Now().Add(startLimit); ; time.Sleep(50 * time.Millisecond) {
		online, err := groupSize(ctx, member)
		if err == nil && online == members {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d members are online: %w", online, members, err)
		}
	}
}

// groupSize returns how many members are online, as that one sees it.
func groupSize(ctx context.Context, member *url.URL) (n int, err error) {
	err = ask(ctx, member, "SELECT COUNT(*) FROM performance_schema.replication_group_members "+
		"WHERE member_state = 'ONLINE'", &n)
	return n, err
}

func ask(ctx context.Context, member *url.URL, query string, result any) error {
	db, err := openMySQL(member)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return db.QueryRowContext(ctx, query).Scan(result)
}

// ErrNoPrimary means that no member of a group is its primary at the moment.
var ErrNoPrimary = errors.New("the group has no primary")

// Primary returns the member that is the group's primary by its own account and takes writes, or
// [ErrNoPrimary]. It asks all members at once, since one that is frozen doesn't reply. It may be
// called from any goroutine.
func Primary(ctx context.Context, members []*Instance) (*Instance, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan *Instance, len(members))
	for _, m := range members {
		go func() {
			var primary bool
			err := ask(ctx, m.local.root, "SELECT NOT @@read_only AND EXISTS (SELECT * "+
				"FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid "+
				"AND member_state = 'ONLINE' AND member_role = 'PRIMARY')", &primary)
			if err != nil || !primary {
				m = nil
			}
			replies <- m
		}()
	}
	for range members {
		if m := <-replies; m != nil {
			return m, nil
		}
	}
	return nil, ErrNoPrimary
}

// AwaitGroup blocks until that many members are online, as i sees it.
func (i *Instance) AwaitGroup(t testing.TB, members int) {
	t.Helper()
	if err := awaitGroup(t.Context(), i.local.root, members); err != nil {
		t.Fatal(err)
	}
}

// SwitchPrimary makes i the primary of its group, as an operator does, and blocks until it is.
func (i *Instance) SwitchPrimary(t testing.TB) {
	t.Helper()
	var id, result string
	i.query(t, &id, "SELECT @@server_uuid")
	i.query(t, &result, "SELECT group_replication_set_as_primary('"+id+"')") // it takes no parameter
	t.Log(result)
}
