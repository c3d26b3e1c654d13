package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// aFew is how many rows are read at first where mostly there are none.
const aFew = 16

// rowsOf reads the rows of a name whose slot is at least from, and less than to.
func (c *Client) rowsOf(ctx context.Context, name string, from, to int, heldOnly bool) ([]dialect.Row, error) {
	var found []dialect.Row
	after := dialect.Key{Name: name, Slot: from - 1}
	for page := min(aFew, to-from); ; page = listPage {
		rows, err := c.dialect.List(ctx, after, heldOnly, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Name != name || row.Slot >= to {
				return found, nil
			}
			found = append(found, row)
			after = row.Key
		}
		if len(rows) < page || len(found) == to-from {
			return found, nil
		}
	}
}
