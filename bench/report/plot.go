package report

import (
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Line is one contender in a plot.
type Line struct {
	Name  string    // its name in the legend
	Bold  bool      // drawn thicker
	At    []float64 // positions on the horizontal axis
	Value []Sample  // one for each position
}

// Plot draws medians on logarithmic axes, with bars from the smallest to the greatest round. It
// writes the plot to path, in the format of the file's extension (.svg, .png).
func Plot(path, title, x, y string, lines []Line) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Legend.XOffs = -vg.Points(6)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 220}, color.Gray{Y: 220}
	p.Add(grid)
	var ticks plot.ConstantTicks
	for i, line := range lines {
		points := errorPoints(line)
		if points.Len() == 0 {
			continue
		}
		if err := add(p, i, line, points); err != nil {
			return err
		}
		for _, at := range points.XYs {
			tick := plot.Tick{Value: at.X, Label: strconv.FormatFloat(at.X, 'f', -1, 64)}
			if !slices.Contains(ticks, tick) {
				ticks = append(ticks, tick)
			}
		}
	}
	if len(ticks) == 0 {
		return nil // nothing was measured, and a logarithmic axis can't be empty
	}
	p.X.Tick.Marker = ticks
	p.X.Max *= 8 // room for the legend
	return p.Save(11*vg.Inch, 6*vg.Inch, path)
}

func add(p *plot.Plot, i int, line Line, points pointsWithRange) error {
	drawn, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(points)
	if err != nil {
		return err
	}
	drawn.Color, marks.Color, bars.Color = plotutil.Color(i), plotutil.Color(i), plotutil.Color(i)
	marks.Shape = plotutil.Shape(i)
	marks.Radius = vg.Points(2.5)
	drawn.Width = vg.Points(1)
	if line.Bold {
		drawn.Width = vg.Points(3)
	}
	drawn.Dashes = plotutil.Dashes(i / len(plotutil.DefaultColors))
	p.Add(drawn, marks, bars)
	p.Legend.Add(line.Name, drawn, marks)
	p.Legend.TextStyle.Font.Size = vg.Points(8)
	p.Legend.YPosition = draw.PosCenter
	return nil
}

// pointsWithRange is the type of points that gonum draws with bars.
type pointsWithRange struct {
	plotter.XYs
	plotter.YErrors
}

// errorPoints returns the points of a line, without those that a logarithmic axis can't show.
func errorPoints(line Line) (p pointsWithRange) {
	for i, at := range line.At {
		s := line.Value[i]
		if m := s.Median(); math.IsNaN(m) || s.Min() <= 0 || at <= 0 {
			continue
		}
		p.XYs = append(p.XYs, plotter.XY{X: at, Y: s.Median()})
		p.YErrors = append(p.YErrors, struct{ Low, High float64 }{s.Median() - s.Min(), s.Max() - s.Median()})
	}
	return p
}
