// Package inspect reads who holds which lock and who waits for whom, in the form in which the
// command sqllock and the pages of package web show it. What it returns can be written as JSON as
// it is, and is then the same as the output of `sqllock ls --json` and `sqllock show --json`.
//
// It only reads, so the right to SELECT is enough. What it returns is for people: the locks may
// have changed in the meantime, so a program must not decide by it whether it holds a lock.
package inspect
