package servers

import (
	"strconv"
	"testing"
	"time"
)

// A server that isn't a database runs like one: it responds, its CPU time is counted, and it is
// gone once it is killed.
func TestRun(t *testing.T) {
	if err := Installed("perl"); err != nil {
		skip(t, "servers.Run is not tested: "+err.Error())
	}
	const serve = `use IO::Socket::INET;
		my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => $ARGV[0]) or die $!;
		$| = 1; print "at your service\n";
		while (my $c = $s->accept) { close $c }`
	i := Run(t, Daemon{
		Program: "perl", Ready: "at your service",
		Args: func(_ string, port int) []string { return []string{"-e", serve, strconv.Itoa(port)} },
	})
	used, err := i.CPU()
	if err != nil || used <= 0 || used > time.Minute {
		t.Errorf("CPU = %s, %v", used, err)
	}
	if err := dial(i.local.root); err != nil {
		t.Error(err)
	}
	i.Kill()
	if dial(i.local.root) == nil {
		t.Error("the killed server still responds")
	}
}

func TestInstalled(t *testing.T) {
	if err := Installed("sqlite"); err != nil {
		t.Error(err)
	}
	if Installed("no-such-server") == nil {
		t.Error("Installed reports that no-such-server is installed")
	}
}
