package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"text/tabwriter"
	"time"

	"nom.dev/nom/api"
	"nom.dev/nom/cmd/nom/goprogram"
)

const debugHelp = `
Say one thing to look at. The program, which is any Go program, need not do anything for it, nor be built in another way; it runs on.

  nom debug web --goroutines          where they are, as in a traceback of Go; arguments and inlined functions are not known
  nom debug web --pprof cpu           what it executes for some --seconds, for "go tool pprof"
  nom debug web --pprof heap          what it has allocated; only of programs that import net/http/pprof or call runtime.MemProfile
  nom debug web --syscall-summary     which system calls it has made, and which of those are not there
  nom debug web --tcpdump web.pcap    the frames that it receives and sends, for tcpdump and Wireshark, until --count came or ^C; "-": to standard output
`

// sampleRate is how often a CPU profile looks, a second and virtual CPU.
const sampleRate = 100

// debugFlags are the flags of debug.
type debugFlags struct {
	goroutines bool
	syscalls   bool
	pprof      string
	seconds    int
	output     string
	tcpdump    string
	count      int
	snap       int
}

func (d *debugFlags) add(f *verbFlags) {
	f.BoolVar(&d.goroutines, "goroutines", false, "print what all goroutines are doing")
	f.StringVar(&d.pprof, "pprof", "", "write a `profile`: cpu or heap")
	f.BoolVar(&d.syscalls, "syscall-summary", false, "count the program's system calls")
	f.StringVar(&d.tcpdump, "tcpdump", "", "write the frames that it receives and sends to a `file` of pcap")
	f.IntVar(&d.count, "count", 0, "how many frames to write; default: until ^C")
	f.IntVar(&d.snap, "snaplen", api.MaxSnap, "how many `bytes` of each frame to write")
	f.IntVar(&d.seconds, "seconds", 10, "how long to take a cpu profile")
	f.StringVarP(&d.output, "output", "o", "", "the `file` to write; default: standard output, and NAME-cpu.pb.gz or NAME-heap.pb.gz for profiles")
}

// check says what is wrong with the flags.
func (d *debugFlags) check() error {
	n := 0
	for _, asked := range []bool{d.goroutines, d.syscalls, d.pprof != "", d.tcpdump != ""} {
		if asked {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("say one thing to look at: --goroutines, --pprof cpu, --pprof heap, --syscall-summary or --tcpdump FILE")
	case d.pprof != "" && d.pprof != "cpu" && d.pprof != "heap":
		return fmt.Errorf("--pprof %s: there are cpu and heap", d.pprof)
	case d.seconds < 1 || d.seconds > api.MaxProfile:
		return fmt.Errorf("--seconds %d: give it 1 to %d", d.seconds, api.MaxProfile)
	case d.count < 0 || d.count > api.MaxCapture:
		return fmt.Errorf("--count %d: give it 1 to %d, or leave it away", d.count, api.MaxCapture)
	case d.count > 0 && d.tcpdump == "":
		return errors.New("--count is for --tcpdump")
	case d.snap < 1 || d.snap > api.MaxSnap:
		return fmt.Errorf("--snaplen %d: give it 1 to %d", d.snap, api.MaxSnap)
	case d.tcpdump != "" && d.output != "":
		return errors.New("--tcpdump names its file itself: leave --output away")
	}
	return nil
}

func debugContainer(a *app, args []string) error {
	var d debugFlags
	r, names, err := a.named("debug", debugHelp, args, 1, d.add)
	if err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	name := names[0]
	if d.tcpdump != "" {
		return a.tcpdump(r.client, name, &d)
	}
	var out bytes.Buffer
	switch {
	case d.syscalls:
		err = summarize(a.ctx, r.client, name, &out)
	case d.goroutines:
		err = goroutines(a.ctx, r.client, name, &out)
	case d.pprof == "cpu":
		err = a.cpuProfile(r.client, name, d.seconds, &out)
	default:
		err = heapProfile(a.ctx, r.client, name, &out)
	}
	if err != nil {
		return err
	}
	if d.output == "" && d.pprof == "" {
		_, err := a.stdout.Write(out.Bytes())
		return err
	}
	if d.output == "" {
		d.output = name + "-" + d.pprof + ".pb.gz"
	}
	if err := os.WriteFile(d.output, out.Bytes(), 0o666); err != nil {
		return err
	}
	if d.pprof != "" {
		fmt.Fprintf(a.stderr, "nom: look at it with \"go tool pprof %s\"\n", d.output)
	}
	return nil
}

// summarize writes the system calls of a program, the most frequent first.
func summarize(ctx context.Context, c *api.Client, name string, w io.Writer) error {
	list, err := c.Syscalls(ctx, name)
	if err != nil {
		return err
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Count > list[j].Count })
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CALLS\tSYSTEM CALL\tNOTE")
	for _, s := range list {
		call, note := syscallNames()[s.Number], ""
		if call == "" {
			call = fmt.Sprint(s.Number)
		}
		if s.Missing {
			note = "not there: answered with ENOSYS"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\n", s.Count, call, note)
	}
	return t.Flush()
}

// openProgram fetches the program of a container.
func openProgram(ctx context.Context, c *api.Client, name string) (*goprogram.Program, error) {
	raw, err := c.Program(ctx, name)
	if err != nil {
		return nil, err
	}
	return goprogram.Open(raw)
}

// reader reads the memory of a container's program.
func reader(c *api.Client, name string) goprogram.Memory {
	return func(ctx context.Context, ranges []goprogram.Range) ([][]byte, error) {
		data := make([][]byte, len(ranges))
		for _, part := range split(ranges) {
			got, err := c.Memory(ctx, name, part.ranges)
			if err != nil {
				return nil, err
			}
			for i, b := range got {
				n := part.index[i]
				if len(data[n]) == part.at[i] { // else a piece before it ended early
					data[n] = append(data[n], b...)
				}
			}
		}
		return data, nil
	}
}

// request is as many ranges as the machine reads at a time: pieces of those with the numbers in index, from at on.
type request struct {
	ranges    []api.Range
	index, at []int
}

// mostPiece is how much is asked for at a time: much less than may be, because a machine may be slow.
const mostPiece = 128 << 10

// split divides ranges into requests.
func split(ranges []goprogram.Range) []request {
	var all []request
	var r request
	size := 0
	flush := func() {
		if len(r.ranges) > 0 {
			all = append(all, r)
		}
		r, size = request{}, 0
	}
	for i, g := range ranges {
		for at := 0; at < g.Size; {
			if size == mostPiece || len(r.ranges) == api.MaxRanges {
				flush()
			}
			n := min(g.Size-at, mostPiece-size)
			r.ranges = append(r.ranges, api.Range{Address: g.Address + uint64(at), Size: n})
			r.index, r.at = append(r.index, i), append(r.at, at)
			size += n
			at += n
		}
	}
	flush()
	return all
}

func goroutines(ctx context.Context, c *api.Client, name string, w io.Writer) error {
	p, err := openProgram(ctx, c, name)
	if err != nil {
		return err
	}
	list, err := p.Goroutines(ctx, reader(c, name))
	if err != nil {
		return err
	}
	return goprogram.WriteGoroutines(w, list)
}

func (a *app) cpuProfile(c *api.Client, name string, seconds int, w io.Writer) error {
	p, err := openProgram(a.ctx, c, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "nom: taking a cpu profile of %s for %d seconds\n", name, seconds)
	n := 0
	add, finish := p.CPUProfile(sampleRate, time.Now())
	lost, err := c.Profile(a.ctx, name, seconds, sampleRate, func(stack []uint64) {
		n++
		add(stack)
	})
	if err != nil {
		return err
	}
	if lost > 0 {
		fmt.Fprintf(a.stderr, "nom: %d samples of %d were lost\n", lost, uint64(n)+lost)
	}
	return finish().Write(w)
}

func heapProfile(ctx context.Context, c *api.Client, name string, w io.Writer) error {
	p, err := openProgram(ctx, c, name)
	if err != nil {
		return err
	}
	profile, err := p.HeapProfile(ctx, reader(c, name))
	if err != nil {
		return err
	}
	return profile.Write(w)
}
