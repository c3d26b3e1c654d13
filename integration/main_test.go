package integration

import (
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

func TestMain(m *testing.M) {
	runWorker() // doesn't return in a worker process
	servers.Main(m, migrateBinary.remove, sqllockBinary.remove, gooseBinary.remove)
}
