// Package documented tests that every exported name of every package has a comment.
package documented
