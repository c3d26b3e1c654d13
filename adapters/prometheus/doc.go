// Package prometheuslock has the metrics of a [sqllock.Client] for Prometheus. [Metrics] are both a
// collector and the Client's tracer.
//
// The metrics have these labels, each where it fits:
//
//   - kind: the [sqllock.Kind], as "lock" or "election".
//   - mode: "exclusive" or "shared".
//   - outcome: the [sqllock.Outcome] of an acquisition and its wait; "ok" or "failed" of a
//     heartbeat; "ok", "refused" or "failed" of a guard.
//   - end: the [sqllock.End] of a hold.
//   - group: the group of the lock's name, never the name itself ([Options].NameGroup).
//
// Beside this package's files, alerts.yml has rules for alerts and grafana.json has a board.
package prometheuslock
