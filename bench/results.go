package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// results is what is written to a file.
type results struct {
	QEMU      string    `json:"qemu"`
	Linux     string    `json:"linux,omitempty"` // the package of its kernel; "": it was not compared with
	LinuxVF   bool      `json:"linux_has_virtual_function,omitempty"`
	Go        string    `json:"go"`
	CPUs      int       `json:"cpus"` // of this computer
	Begin     time.Time `json:"begin"`
	End       time.Time `json:"end"`
	LoadBegin string    `json:"load_average_begin"` // of this computer: what else it had to do
	LoadEnd   string    `json:"load_average_end"`
	Rows      []*row    `json:"rows"`
}

// row is one result. What was not measured is left out.
type row struct {
	System      string  `json:"system"`
	Workload    string  `json:"workload"`
	Outstanding int     `json:"outstanding,omitempty"`        // closed loop: requests on the way
	Offered     float64 `json:"offered_per_second,omitempty"` // open loop
	load
	Instructions uint64             `json:"instructions_per_request,omitempty"`
	Raised       *float64           `json:"interrupts_raised_per_request,omitempty"` // by the card
	Taken        *float64           `json:"interrupts_taken_per_request,omitempty"`  // by processors, of timers too
	Exits        map[string]float64 `json:"exits_per_request,omitzero"`              // by reason; empty: there was none
	FirstReply   float64            `json:"seconds_to_first_reply,omitempty"`
}

// row finds a result, or makes it.
func (r *results) row(system, workload string, outstanding int, offered float64) *row {
	if found := r.find(system, workload, outstanding, offered); found != nil {
		return found
	}
	r.Rows = append(r.Rows, &row{System: system, Workload: workload, Outstanding: outstanding, Offered: offered})
	return r.Rows[len(r.Rows)-1]
}

func (r *results) find(system, workload string, outstanding int, offered float64) *row {
	i := slices.IndexFunc(r.Rows, func(o *row) bool {
		return o.System == system && o.Workload == workload && o.Outstanding == outstanding && o.Offered == offered
	})
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}

func (b *bench) begin(ctx context.Context) {
	text, _ := exec.CommandContext(ctx, "qemu-system-x86_64", "--version").Output()
	b.QEMU, _, _ = strings.Cut(string(text), "\n")
	if b.linux != nil {
		b.Linux, b.LinuxVF = linuxKernel, b.vf
	}
	b.Go, b.CPUs, b.Begin, b.LoadBegin = runtime.Version(), runtime.NumCPU(), time.Now(), loadAverage()
}

func (b *bench) end() { b.End, b.LoadEnd = time.Now(), loadAverage() }

// loadAverage is that of the last minute: proc_loadavg(5).
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

func (r *results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// show prints the table of results that were measured before.
func show(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	r.print(os.Stdout)
	return nil
}

// print writes a table in Markdown, as in docs/network.md.
func (r *results) print(out io.Writer) {
	linux := "Linux"
	if r.LinuxVF {
		linux = "Linux, VF"
	}
	fmt.Fprintf(out, "%s, %s, %s; %d processors, load average %s at the begin, %s at the end; %v\n\n", r.QEMU, r.Linux, r.Go, r.CPUs,
		r.LoadBegin, r.LoadEnd, r.End.Sub(r.Begin).Round(time.Second))
	table := [][]string{{"work", "on the way", "nom: requests/s", "p50 / p99 / p99.9 ms", "instructions", "interrupts raised / taken", "exits",
		linux + ": requests/s", "p50 / p99 / p99.9 ms", "instructions", "interrupts raised / taken"}}
	table = append(table, slices.Repeat([]string{"---"}, len(table[0])))
	last := ""
	for _, both := range r.paired() {
		some := both[0]
		if some == nil {
			some = both[1]
		}
		name, way := some.Workload, strconv.Itoa(some.Outstanding)
		if some.Offered != 0 {
			way = "open, " + grouped(some.Offered) + "/s"
		}
		if name == last {
			name = ""
		}
		last = some.Workload
		other := both[1].cells()
		table = append(table, slices.Concat([]string{name, way}, both[0].cells(), other[:len(other)-1])) // Linux has no exits
	}
	fill(table)
	for _, cells := range table {
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Fprintln(out)
	for _, w := range workloads {
		for _, system := range []string{"nom", "linux"} {
			if f := r.find(system, w.name, closed[0], 0); f != nil && f.FirstReply != 0 {
				fmt.Fprintf(out, "First reply of %s after power-on, %s: %.1f s\n", w.name, system, f.FirstReply)
			}
		}
	}
}

// paired has the rows of nom and Linux side by side, workload by workload, closed loops first.
func (r *results) paired() (pairs [][2]*row) {
	for _, w := range workloads {
		var of [][2]*row
		for _, some := range r.Rows {
			if some.Workload != w.name {
				continue
			}
			pair := [2]*row{r.find("nom", w.name, some.Outstanding, some.Offered), r.find("linux", w.name, some.Outstanding, some.Offered)}
			if !slices.Contains(of, pair) {
				of = append(of, pair)
			}
		}
		pairs = append(pairs, of...)
	}
	return pairs
}

// cells are what is printed of a row.
func (r *row) cells() []string {
	c := make([]string, 5)
	if r == nil {
		return c
	}
	if r.Requests != 0 {
		c[0] = grouped(r.Rate)
		if r.Lost != 0 {
			c[0] += fmt.Sprintf(" (%d lost)", r.Lost)
		}
		c[1] = milliseconds(r.P50) + " / " + milliseconds(r.P99) + " / " + milliseconds(r.P999)
	}
	if r.Instructions != 0 {
		c[2] = grouped(float64(r.Instructions))
	}
	if r.Raised != nil {
		c[3] = fmt.Sprintf("%.2f / %.2f", *r.Raised, *r.Taken)
	}
	if r.Exits != nil {
		all := 0.0
		for _, n := range r.Exits {
			all += n
		}
		c[4] = strconv.FormatFloat(all, 'g', 2, 64)
	}
	return c
}

// milliseconds has two digits that say something.
func milliseconds(us float64) string {
	ms := us / 1000
	switch {
	case ms < 1:
		return fmt.Sprintf("%.2f", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// grouped writes a number with a space between each three digits.
func grouped(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// fill makes all cells of a column equally wide.
func fill(table [][]string) {
	for column := range table[0] {
		width := 0
		for _, cells := range table {
			width = max(width, utf8.RuneCountInString(cells[column]))
		}
		for _, cells := range table {
			with := " "
			if cells[column] == "---" {
				with = "-"
			}
			cells[column] += strings.Repeat(with, width-utf8.RuneCountInString(cells[column]))
		}
	}
}

func progress(round, rounds int, what, system string) {
	kind := fmt.Sprintf("round %d of %d", round+1, rounds)
	if round == rounds {
		kind = "counting"
	}
	fmt.Fprintf(os.Stderr, "%s: %s, %s, %s\n", time.Now().Format(time.TimeOnly), kind, what, system)
}
