package report

import (
	"fmt"
	"slices"
	"strings"
)

// Table is one comparison, with a row for each contender and a column for each figure. Adding to a
// cell creates it.
type Table struct {
	Title   string   // the heading
	Text    string   // what was measured; shown above the table
	Notes   []string // shown below the table
	Columns []string // the titles of all columns but the first, which names the contender

	rows  []string
	cells map[[2]string]Sample
	words map[[2]string]string
}

// Add adds one round's figure. Rows and columns appear in the order in which they are first used.
func (t *Table) Add(row, column string, figure float64) {
	at := t.at(row, column)
	t.cells[at] = append(t.cells[at], figure)
}

// Say sets the text that is shown in a cell without figures.
func (t *Table) Say(row, column, words string) { t.words[t.at(row, column)] = words }

// Row adds a row, so that the order of the rows doesn't depend on the order of the measurements.
func (t *Table) Row(name string) {
	if !slices.Contains(t.rows, name) {
		t.rows = append(t.rows, name)
	}
}

func (t *Table) at(row, column string) [2]string {
	if t.cells == nil {
		t.cells, t.words = make(map[[2]string]Sample), make(map[[2]string]string)
	}
	t.Row(row)
	if !slices.Contains(t.Columns, column) {
		t.Columns = append(t.Columns, column)
	}
	return [2]string{row, column}
}

// Cell returns the figures in a cell.
func (t *Table) Cell(row, column string) Sample { return t.cells[[2]string{row, column}] }

// Rows returns the names of the rows.
func (t *Table) Rows() []string { return t.rows }

// Note adds a line below the table, unless it is there already.
func (t *Table) Note(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(t.Notes, line) {
		t.Notes = append(t.Notes, line)
	}
}

// Markdown returns the table as Markdown.
func (t *Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", t.Title, t.Text)
	line := func(first string, rest []string) {
		b.WriteString("| " + escape(first))
		for _, cell := range rest {
			b.WriteString(" | " + escape(cell))
		}
		b.WriteString(" |\n")
	}
	line("", t.Columns)
	b.WriteString("| ---" + strings.Repeat(" | ---:", len(t.Columns)) + " |\n")
	for _, row := range t.rows {
		cells := make([]string, len(t.Columns))
		for i, column := range t.Columns {
			at := [2]string{row, column}
			cells[i] = t.cells[at].String()
			if words := t.words[at]; words != "" && len(t.cells[at]) == 0 {
				cells[i] = words
			}
		}
		line(row, cells)
	}
	for i, note := range t.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		b.WriteString("- " + note + "\n")
	}
	return b.String()
}

func escape(cell string) string { return strings.ReplaceAll(cell, "|", `\|`) }
