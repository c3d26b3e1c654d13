// Package dialect is the contract between package sqllock and one SQL engine.
//
// A dialect knows the engine's SQL, its clock and its error codes, and nothing else: what follows from an answer
// (waiting, taking over a dead holder's lock, trusting a lease) is decided once, in package sqllock. Three rules
// keep every engine safe in the same way:
//
//   - What decides is one conditional statement on one row, never a read followed by a write and never a
//     subquery over another row: under READ COMMITTED such a subquery sees the snapshot from before the row lock
//     was granted.
//   - Only the database's clock is written or compared, read at the moment of the check. Durations go in and
//     come out relative; no client's wall clock does.
//   - Outcomes are values, errors are failures. "Held by another" is an answer; an error means that the database
//     failed, and Classify tells whether anything may have happened.
//
// Package dialect/dialecttest is the conformance suite that every dialect runs.
package dialect
