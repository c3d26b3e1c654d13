// Package documented has one test: that every exported name of every package has a comment.
package documented
