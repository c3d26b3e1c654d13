package libraries

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// OneHost returns a wrapper for a job of robfig/cron that runs on several hosts. A run is skipped
// if another host has the job, or has run it within the time of atLeast, which must be longer than
// the clocks of the hosts differ and shorter than the job's interval.
func OneHost(locks *sqllock.Client, name string, atLeast time.Duration) cron.JobWrapper {
	return func(job cron.Job) cron.Job {
		return cron.FuncJob(func() {
			ctx := context.Background()
			lock, err := locks.TryAcquire(ctx, name, sqllock.HoldAtLeast(atLeast))
			if errors.Is(err, sqllock.ErrNotAcquired) {
				return
			}
			if err != nil {
				slog.Error("the job wasn't run", "job", name, "err", err)
				return
			}
			defer func() {
				if err := lock.Release(ctx); err != nil {
					slog.Error("the job has lost its lock", "job", name, "err", err)
				}
			}()
			job.Run()
		})
	}
}

// AddOnce adds a job to a scheduler that has not been started yet. For each time of the schedule,
// the job succeeds on one host. The schedule must name times of day, not an interval (@every),
// which begins at another moment on each host.
func AddOnce(
	ctx context.Context, c *cron.Cron, locks *sqllock.Client, name, schedule string, fn func(context.Context) error,
) error {
	var id cron.EntryID
	id, err := c.AddFunc(schedule, func() {
		scheduled := c.Entry(id).Prev // the time of the schedule, not of this call
		_, err := once.RunOccurrence(ctx, locks, name, scheduled, func(ctx context.Context, _ *sqllock.Lock) error {
			return fn(ctx)
		})
		if err != nil && !errors.Is(err, sqllock.ErrNotAcquired) {
			slog.Error("the job failed", "job", name, "err", err)
		}
	})
	return err
}
