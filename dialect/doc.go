// Package dialect is the contract between package sqllock and one SQL engine.
//
// A dialect knows the engine's SQL, its clock and its error codes, and nothing else. What follows
// from a result (waiting, taking over a dead holder's lock, how long a lease is valid) is decided
// once, in package sqllock. Three rules keep every engine safe in the same way:
//
//   - One conditional statement on one row decides. A read followed by a write never does, and
//     neither does a condition that stands only in a subquery: under READ COMMITTED a subquery sees
//     the snapshot from before the row lock was granted, and some servers lock nothing in it. A
//     subquery may choose which rows to try.
//   - Only the database's clock is written or compared, and it is read at the moment of the check.
//     Durations go in and come out relative. No client's wall clock ever does.
//   - Outcomes are values, and errors are failures. "Held by another" is a result. An error means
//     that the database failed, and Classify reports whether anything may have happened.
//
// Package dialect/dialecttest is the conformance suite that every dialect runs.
//
// # Compatibility
//
// Applications use package sqllock, whose API is stable within a major version. This package and
// those below it are for engines, and are not covered by that promise: a minor version may add a
// method to the contract. An engine outside of this repository names the minor version that it was
// written for.
package dialect
