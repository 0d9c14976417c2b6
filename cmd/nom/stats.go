package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"nom.dev/nom/api"
)

const statsHelp = `
CPU % is of one processor, since the container started; with --watch since the line before. EXITS is how often the container left its
virtual machine: all, and the most frequent reasons. NET I/O is what its network function received and sent, as the function counts it;
DROPPED what the TCP/IP beneath the program dropped of it, and the most frequent causes. They begin anew with each start.
`

// watchInterval is how often "nom stats --watch" looks.
const watchInterval = time.Second

// statsLine is the JSON form of what a container uses.
type statsLine struct {
	Name       string    `json:"name"`
	Time       time.Time `json:"time"`
	State      string    `json:"state"`
	CPUPercent float64   `json:"cpu_percent"`
	Memory     int64     `json:"memory_limit_bytes"`
	*api.Stats
	Network *api.Traffic `json:"network,omitempty"`
}

func showStats(a *app, args []string) error {
	fs := a.flagSet("stats", statsHelp)
	var name string
	watch, f := false, formatTable
	addMachine(fs, &name)
	fs.BoolVarP(&watch, "watch", "w", false, "look again every second, until ^C")
	fs.Var(&f, "format", "how to print it; json is one object a line")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	r, err := a.reach(name)
	if err != nil {
		return err
	}
	last := map[string]statsLine{}
	for {
		list, err := r.client.Containers(a.ctx)
		if err != nil {
			return err
		}
		lines, err := selectStats(list, fs.Args(), time.Now())
		if err != nil {
			return err
		}
		sinceLast(lines, last)
		if err := printStats(a.stdout, lines, f); err != nil || !watch {
			return err
		}
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-time.After(watchInterval):
		}
	}
}

// selectStats picks the containers that run, or those that are named.
func selectStats(list []api.Container, names []string, now time.Time) (lines []statsLine, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(list, func(k api.Container) bool { return k.Name == name }) {
			return nil, fmt.Errorf("no container is called %s", name)
		}
	}
	for _, k := range list {
		if k.Stats == nil || len(names) == 0 && k.State == api.StateExited || len(names) > 0 && !slices.Contains(names, k.Name) {
			continue
		}
		line := statsLine{Name: k.Name, Time: now, State: k.State, Memory: k.Memory, Stats: k.Stats, Network: k.Traffic}
		if k.Stats.RunSeconds == 0 && !k.Started.IsZero() {
			line.RunSeconds = now.Sub(k.Started).Seconds()
		}
		line.CPUPercent = percent(k.Stats.CPUSeconds, line.RunSeconds)
		lines = append(lines, line)
	}
	return lines, nil
}

// sinceLast makes the shares of the processor those since the last time, of containers that were there then and go on.
func sinceLast(lines []statsLine, last map[string]statsLine) {
	for i := range lines {
		l := &lines[i]
		if was, ok := last[l.Name]; ok && l.CPUSeconds >= was.CPUSeconds {
			l.CPUPercent = percent(l.CPUSeconds-was.CPUSeconds, l.Time.Sub(was.Time).Seconds())
		}
		last[l.Name] = *l
	}
}

func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * part / whole
}

func printStats(w io.Writer, lines []statsLine, f format) error {
	if f == formatJSON {
		for _, l := range lines {
			if err := json.NewEncoder(w).Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tCPU %\tCPU\tMEMORY\tPEAK\tNET I/O\tDROPPED\tEXITS")
	for _, l := range lines {
		traffic, dropped := networkText(l.Network)
		fmt.Fprintf(t, "%s\t%.1f\t%.2fs\t%s / %s\t%s\t%s\t%s\t%s\n", l.Name, l.CPUPercent, l.CPUSeconds,
			mebibytes(l.MemoryBytes), mebibytes(l.Memory), mebibytes(l.MemoryPeakBytes), traffic, dropped, countsText(api.ExitNames[:], l.Exits))
	}
	return t.Flush()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMi", float64(n)/(1<<20)) }

// networkText is what was received and sent, and what was dropped.
func networkText(t *api.Traffic) (traffic, dropped string) {
	if t == nil {
		return "-", "-"
	}
	dropped = "-"
	if t.Dropped != nil {
		dropped = countsText(api.DropNames[:], t.Dropped)
	}
	return bytesText(t.ReceivedBytes) + " / " + bytesText(t.SentBytes), dropped
}

// bytesText is a number of bytes with the unit that suits it.
func bytesText(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprint(n, "B")
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 999.95 && unit < 3 {
		v, unit = v/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f%ci", v, "KMGT"[unit])
}

// mostReasons is how many reasons a line of the table has.
const mostReasons = 3

// countsText is the sum of what has happened for the reasons in names, and the most frequent: "12 (interrupt 7, halt 3, hypercall 2)".
func countsText(names []string, counts map[string]uint64) string {
	reasons, total := []string{}, uint64(0)
	for _, name := range names {
		if counts[name] > 0 {
			reasons = append(reasons, name)
		}
		total += counts[name]
	}
	slices.SortStableFunc(reasons, func(a, b string) int {
		switch {
		case counts[a] > counts[b]:
			return -1
		case counts[a] < counts[b]:
			return 1
		}
		return 0
	})
	text := fmt.Sprint(total)
	if reasons = reasons[:min(len(reasons), mostReasons)]; len(reasons) > 0 {
		for i, name := range reasons {
			reasons[i] = fmt.Sprint(name, " ", counts[name])
		}
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	return text
}
