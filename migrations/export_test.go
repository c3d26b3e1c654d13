package migrations

// Locate exports locate for tests.
func Locate(file, sent string, line, column int) string {
	_, _, excerpt := locate(file, file, sent, line, column)
	return excerpt
}
