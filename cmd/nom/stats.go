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
virtual machine: all, and the most frequent reasons.
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
		line := statsLine{Name: k.Name, Time: now, State: k.State, Memory: k.Memory, Stats: k.Stats}
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
	fmt.Fprintln(t, "NAME\tCPU %\tCPU\tMEMORY\tPEAK\tEXITS")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%.1f\t%.2fs\t%s / %s\t%s\t%s\n", l.Name, l.CPUPercent, l.CPUSeconds,
			mebibytes(l.MemoryBytes), mebibytes(l.Memory), mebibytes(l.MemoryPeakBytes), exitsText(l.Exits))
	}
	return t.Flush()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMi", float64(n)/(1<<20)) }

// mostReasons is how many reasons of exits a line of the table has.
const mostReasons = 3

// exitsText is all exits, and the most frequent reasons: "12 (interrupt 7, halt 3, hypercall 2)".
func exitsText(exits map[string]uint64) string {
	reasons, total := []string{}, uint64(0)
	for _, name := range api.ExitNames {
		if exits[name] > 0 {
			reasons = append(reasons, name)
		}
		total += exits[name]
	}
	slices.SortStableFunc(reasons, func(a, b string) int {
		switch {
		case exits[a] > exits[b]:
			return -1
		case exits[a] < exits[b]:
			return 1
		}
		return 0
	})
	text := fmt.Sprint(total)
	if reasons = reasons[:min(len(reasons), mostReasons)]; len(reasons) > 0 {
		for i, name := range reasons {
			reasons[i] = fmt.Sprint(name, " ", exits[name])
		}
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	return text
}
