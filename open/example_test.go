package open_test

import (
	"fmt"

	"github.com/sqllock/sqllock/open"
)

func ExampleURL() {
	_, err := open.URL("psotgres://app:secret@db/app")
	fmt.Println(err)
	// Output: invalid argument: database URL "psotgres://app:xxxxx@db/app": it must begin with postgres://, postgresql://, mysql://, mariadb://, sqlserver://, mssql://, sqlite://, sqlite3://
}
