// Package engine has what the dialects share apart from their SQL: statements and their rows,
// slices of requests, microseconds, embedded files, and the steps of a probe.
package engine
