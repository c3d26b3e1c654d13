package migrations

// Locate is locate for tests.
func Locate(file, sent string, line, column int) string {
	_, _, excerpt := locate(file, sent, line, column)
	return excerpt
}
