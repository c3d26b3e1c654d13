// Package dburl has what the engines share about database URLs: cutting off the scheme, and naming
// a bad URL in an error without its password.
package dburl
