// Package dburl has what the engines share about database URLs: taking the scheme off, naming a bad URL in an
// error, and hiding the password while doing so.
package dburl
