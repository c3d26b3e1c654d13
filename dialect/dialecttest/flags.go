package dialecttest

import (
	"context"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// flags checks two clients that each take a lock of their own and then read the other's: the later
// one sees it. Readers and writers exclude each other by that. One client reads with Get, the other
// with List.
func flags(s *suite) {
	const times = 50
	lease := s.lease(long)
	for range times {
		reader, writer := request(unique("flag"), lease), request("", lease)
		writer.Name, reader.Slot, writer.Slot = reader.Name, 7, 3
		var readerSaw, writerSaw bool
		var group sync.WaitGroup
		start := make(chan struct{})
		group.Go(func() {
			<-start
			s.take(reader)
			readerSaw = s.get(writer.Key).Held
		})
		group.Go(func() {
			<-start
			s.take(writer)
			rows, err := retryTransient(s, func(ctx context.Context) ([]dialect.Row, error) {
				return s.d.List(ctx, writer.Key, true, 5)
			})
			s.must(err)
			writerSaw = len(rows) > 0 && rows[0].Key == reader.Key && rows[0].Held
		})
		close(start)
		group.Wait()
		if !readerSaw && !writerSaw {
			s.Fatal("both flags were up, and neither saw the other's")
		}
	}
}
