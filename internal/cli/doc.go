// Package cli has what the commands of this project share: environment variables for flags, errors
// about the command line, the version, questions, and JSON.
package cli
