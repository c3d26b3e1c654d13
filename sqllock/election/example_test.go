package election_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
)

// Every process runs the same code, and one of them leads at a time. Run returns nil when the
// process is told to end, whether or not it leads.
func ExampleElection_Run() {
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a program
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(context.Background())

	scheduler, err := election.New(locks, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	err = scheduler.Run(ctx, func(ctx context.Context, _ *election.Term) error {
		fmt.Println("leading")
		stop()       // as a signal does
		<-ctx.Done() // the work ends with its ctx: the process ends, or no longer leads
		return nil
	})
	fmt.Println(err)
	// Output:
	// leading
	// <nil>
}

// Observe yields each change of the leader that it sees, in any process.
func ExampleElection_Observe() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)
	scheduler, err := election.New(locks, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	term, err := scheduler.Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}

	for leader, err := range scheduler.Observe(ctx) {
		if err != nil {
			log.Print(err) // an outage: Observe goes on
			continue
		}
		if leader == (election.Leader{}) {
			fmt.Println("nobody leads")
			break
		}
		fmt.Println(leader.Holder, "leads")
		if err := term.Resign(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// worker 1 leads
	// nobody leads
}

// An operator asks the leader to hand over, from any process. HandOver returns when the leader's
// term is over.
func ExampleElection_HandOver() {
	ctx, stop := context.WithCancel(context.Background())
	db := database()
	locks, operator := process(db, "worker 1"), process(db, "operator")
	defer locks.Close(context.Background())
	defer operator.Close(context.Background())

	leads, ended := make(chan struct{}), make(chan struct{})
	scheduler, err := election.New(locks, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer close(ended)
		if err := scheduler.Run(ctx, func(ctx context.Context, _ *election.Term) error {
			close(leads)
			<-ctx.Done()
			fmt.Println(context.Cause(ctx))
			return nil
		}); err != nil {
			log.Fatal(err)
		}
	}()
	<-leads

	e, err := election.New(operator, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("handed over:", e.HandOver(ctx))
	stop()
	<-ended
	// Output:
	// asked to hand over
	// handed over: <nil>
}

// In a deploy, the new process campaigns, and asks for the lead as soon as it is in the queue. It
// gets the lead although older candidates are ahead of it, and no lease has to expire.
func ExampleElection_HandOverTo() {
	ctx, stop := context.WithCancel(context.Background())
	db := database()
	run := func(locks *sqllock.Client, opts ...election.Option) (leads, ended chan struct{}) {
		leads, ended = make(chan struct{}), make(chan struct{})
		e, err := election.New(locks, "scheduler", opts...)
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer close(ended)
			if err := e.Run(ctx, func(ctx context.Context, term *election.Term) error {
				close(leads)
				<-ctx.Done() // the work: it ends when the leader is asked to hand over
				return nil
			}); err != nil {
				log.Fatal(err)
			}
		}()
		return leads, ended
	}
	old, fresh := process(db, "v1"), process(db, "v2")
	defer old.Close(context.Background())
	defer fresh.Close(context.Background())
	oldLeads, oldEnded := run(old)
	<-oldLeads

	queued := make(chan struct{})
	freshLeads, freshEnded := run(fresh, election.OnQueued(sync.OnceFunc(func() { close(queued) })))
	select {
	case <-freshLeads: // nobody else led
	case <-queued:
	}
	e, err := election.New(fresh, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	if err := e.HandOverTo(ctx, "v2"); err != nil {
		log.Fatal(err)
	}
	leader, _, err := e.Leader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(leader.Holder, "leads")
	stop() // both processes end; that one of them waits is no error
	<-oldEnded
	<-freshEnded
	// Output: v2 leads
}

// Newer releases are preferred: their candidates get the lead without asking for it.
func ExamplePriority() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)
	const release = 42
	e, err := election.New(locks, "scheduler", election.Priority(release))
	if err != nil {
		log.Fatal(err)
	}
	term, err := e.Campaign(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("leads until a release above", release, "waits")
	fmt.Println(term.Resign(ctx))
	// Output:
	// leads until a release above 42 waits
	// <nil>
}
