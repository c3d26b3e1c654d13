package sqlite

import "strings"

// hint recognizes errors about a file's own transactions.
func hint(err error, _ string, _ func(string) []string) string {
	for _, message := range []string{"within a transaction", "no transaction is active"} {
		if strings.Contains(err.Error(), message) {
			return "the file already runs in a transaction: leave out its BEGIN, COMMIT and ROLLBACK, or add " +
				"x-no-tx-wrap=true to the database URL if all of your files have transactions of their own."
		}
	}
	return ""
}
