// Package documented tests the documentation. Every exported name of every package has a comment.
// What the pages of the repository say in code is true: their links lead somewhere, their Go code
// compiles, and the names in them exist. The tests in integration/ run the programs and commands of
// the pages, which they get from this package.
package documented
