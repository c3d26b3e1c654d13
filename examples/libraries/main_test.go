package libraries

import (
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }
