// Package sqltext finds the statements in a text of SQL: where each begins and which words it
// begins with. It is no parser: the server decides what a statement means.
package sqltext
