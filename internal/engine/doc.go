// Package engine is what the dialects have in common, apart from their SQL: statements and their rows, slices of
// requests, microseconds, embedded files, the steps of a probe.
package engine
