package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Database is the database that a command works on. --database gives its URL, and
// --database-url-file a file that contains the URL.
type Database struct {
	url, file     string
	byURL, byFile bool // which of the flags is on the command line
}

// Flags adds the two flags.
func (d *Database) Flags(flags *pflag.FlagSet) {
	flags.StringVar(&d.url, "database", "", "database `URL`")
	flags.StringVar(&d.file, "database-url-file", "", "a `file` whose only line is the database URL, such as a "+
		"container's secret")
}

// Check returns an error if both flags are on the command line. It is called before
// [Environment.Apply].
func (d *Database) Check(cmd *cobra.Command) error {
	d.byURL, d.byFile = cmd.Flags().Changed("database"), cmd.Flags().Changed("database-url-file")
	if d.byURL && d.byFile {
		return Usagef("--database and --database-url-file exclude each other")
	}
	return nil
}

// Skip reports whether the variable of a flag is ignored, because the command line has the other
// one. It is for [Environment].
func (d *Database) Skip(flag string) bool {
	return d.byFile && flag == "database" || d.byURL && flag == "database-url-file"
}

// URL returns the database's URL. Otherwise it returns a [*UsageError]: the URL is missing, given
// twice, or its file can't be read.
func (d *Database) URL() (string, error) {
	switch {
	case d.url != "" && d.file != "":
		return "", Usagef("SQLLOCK_DATABASE_URL and SQLLOCK_DATABASE_URL_FILE are both set: which one counts? " +
			"Unset the other one, or give --database")
	case d.url != "":
		return d.url, nil
	case d.file == "":
		return "", Usagef("no database: give --database URL, or set SQLLOCK_DATABASE_URL or SQLLOCK_DATABASE_URL_FILE")
	}
	text, err := os.ReadFile(d.file)
	if err != nil {
		return "", Usagef("--database-url-file: %v", err)
	}
	url := strings.TrimSpace(string(text))
	if url == "" {
		return "", Usagef("--database-url-file: the file %s is empty", d.file)
	}
	return url, nil
}
