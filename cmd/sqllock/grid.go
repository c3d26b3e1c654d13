package main

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// grid writes rows as lines with columns. Its columns never become narrower, so it can be written
// part by part.
type grid struct {
	limit  int // how wide a column but the last is at most; 0 is no limit
	widths []int
}

// lines returns rows, all with as many cells, as lines.
func (g *grid) lines(rows [][]string) []string {
	for _, row := range rows {
		g.widths = append(g.widths, make([]int, max(0, len(row)-len(g.widths)))...)
		for i, cell := range row {
			width := runewidth.StringWidth(cell)
			if g.limit > 0 {
				width = min(width, max(g.limit, len("LEASE-LEFT")))
			}
			g.widths[i] = max(g.widths[i], width)
		}
	}
	lines := make([]string, len(rows))
	for r, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if i < len(row)-1 {
				cell = runewidth.FillRight(fit(cell, g.widths[i]), g.widths[i]) + "  "
			}
			b.WriteString(cell)
		}
		lines[r] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// fit cuts a line off at a width; 0 is no limit.
func fit(line string, width int) string {
	if width == 0 {
		return line
	}
	return runewidth.Truncate(line, width, "…")
}
