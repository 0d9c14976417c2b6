package goprogram

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of what is read of a program.
const (
	mostGoroutines = 20000
	mostStack      = 8 << 10 // bytes, from the innermost frame outwards
	mostFrames     = 100
	// attempts is how often the stacks of goroutines are read that moved meanwhile.
	attempts = 3
)

// Goroutine is what a goroutine is doing.
type Goroutine struct {
	ID      uint64
	Status  string // as in Go's tracebacks: "running", "IO wait"
	Locked  bool   // to its thread
	Stack   []Frame
	Creator *Frame // the go statement
	Parent  uint64 // which executed it
	Note    string // why there is no stack
	system  bool   // the runtime's own
}

// Frame is a function that was called and has not returned.
type Frame struct {
	Function string
	File     string
	Line     int
	Offset   uint64 // in the function
}

// States of a g, runtime/runtime2.go.
const (
	gIdle, gRunnable, gRunning, gSyscall, gWaiting = 0, 1, 2, 3, 4
	gDead, gCopystack, gPreempted, gLeaked         = 6, 8, 9, 10
	gScan                                          = 0x1000
)

// raw is what was read of a g.
type raw struct {
	address       uint64
	g             []byte
	stack         []byte
	low, sp       uint64
	status        uint32
	pc, bp        uint64
	moved, parked bool
}

// Goroutines looks at all goroutines. One that runs has no stack to look at, as in Go's own tracebacks.
func (p *Program) Goroutines(ctx context.Context, read Memory) ([]Goroutine, error) {
	if err := p.loadLayout(); err != nil {
		return nil, err
	}
	addresses, err := p.allGs(ctx, read)
	if err != nil {
		return nil, err
	}
	list := make([]*raw, len(addresses))
	for i, a := range addresses {
		list[i] = &raw{address: a, moved: true}
	}
	for range attempts {
		if err := p.readStacks(ctx, read, list); err != nil {
			return nil, err
		}
	}
	reasons := p.waitReasons()
	var all []Goroutine
	for _, r := range list {
		if s := r.status &^ gScan; s == gIdle || s == gDead || s > gLeaked || word(r.g, p.layout.goid) == 0 {
			continue
		}
		all = append(all, p.describe(r, reasons))
	}
	return all, nil
}

// allGs lists the addresses of all gs.
func (p *Program) allGs(ctx context.Context, read Memory) ([]uint64, error) {
	length, err := p.variable("allglen")
	if err != nil {
		return nil, err
	}
	array, err := p.variable("allgptr")
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, []Range{{length, 8}, {array, 8}}) // the length first: the array may have grown when it is read
	if err != nil {
		return nil, err
	}
	n := word(b[0], 0)
	if n > mostGoroutines {
		return nil, fmt.Errorf("the program has %d goroutines, and %d is the most that can be looked at", n, mostGoroutines)
	}
	b, err = read(ctx, []Range{{word(b[1], 0), int(n) * 8}})
	if err != nil {
		return nil, err
	}
	if len(b[0]) < int(n)*8 || n == 0 {
		return nil, errors.New("the program's list of goroutines cannot be read: has it started?")
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = word(b[0], i*8)
	}
	return list, nil
}

// readStacks reads the gs that moved when they were read last, then their stacks, then looks whether they moved again.
func (p *Program) readStacks(ctx context.Context, read Memory, all []*raw) error {
	var list []*raw
	for _, r := range all {
		if r.moved {
			list = append(list, r)
		}
	}
	gs := make([]Range, len(list))
	for i, r := range list {
		gs[i] = Range{r.address, p.layout.size}
	}
	before, err := read(ctx, gs)
	if err != nil {
		return err
	}
	stacks := make([]Range, len(list))
	for i, r := range list {
		r.take(before[i], &p.layout)
		if high := word(r.g, p.layout.stackHi); r.parked && r.sp < high {
			r.low = r.sp
			stacks[i] = Range{r.low, int(min(high-r.low, mostStack))}
		}
	}
	data, err := read(ctx, stacks)
	if err != nil {
		return err
	}
	after, err := read(ctx, gs)
	if err != nil {
		return err
	}
	for i, r := range list {
		r.stack = data[i]
		now := raw{}
		now.take(after[i], &p.layout)
		r.moved = now.status&^gScan != r.status&^gScan || now.sp != r.sp || now.pc != r.pc || now.bp != r.bp
	}
	return nil
}

// take reads where a g is.
func (r *raw) take(g []byte, l *layout) {
	if len(g) < l.size {
		g = make([]byte, l.size)
	}
	r.g, r.status = g, uint32(word(g, l.status))
	r.sp, r.pc, r.bp = word(g, l.schedSP), word(g, l.schedPC), word(g, l.schedBP)
	switch r.status &^ gScan {
	case gSyscall:
		r.sp, r.pc, r.bp = word(g, l.syscallSP), word(g, l.syscallPC), word(g, l.syscallBP)
		r.parked = true
	case gRunnable, gWaiting, gPreempted, gLeaked:
		r.parked = true
	default:
		r.parked = false
	}
}

// describe makes a Goroutine of what was read.
func (p *Program) describe(r *raw, reasons []string) Goroutine {
	l := &p.layout
	g := Goroutine{ID: word(r.g, l.goid), Parent: word(r.g, l.parent), Locked: word(r.g, l.lockedM) != 0}
	switch r.status &^ gScan {
	case gRunnable:
		g.Status = "runnable"
	case gRunning:
		g.Status = "running"
	case gSyscall:
		g.Status = "syscall"
	case gCopystack:
		g.Status = "copystack"
	case gPreempted:
		g.Status = "preempted"
	case gWaiting, gLeaked:
		g.Status = "waiting"
		if n := int(r.g[l.waitReason]); n < len(reasons) && reasons[n] != "" {
			g.Status = reasons[n]
		}
		if r.status&^gScan == gLeaked {
			g.Status += " (leaked)"
		}
	}
	if start, ok := p.at(word(r.g, l.startPC), false); ok {
		g.system = systemGoroutine(start.function)
	}
	if where, ok := p.at(word(r.g, l.goPC), true); ok && g.ID != 1 {
		g.Creator = where.frame(word(r.g, l.goPC))
	}
	switch {
	case !r.parked:
		g.Note = "goroutine running on another thread; stack unavailable"
	case r.moved:
		g.Note = "goroutine went on while it was looked at; stack unavailable"
	default:
		g.Stack = p.unwind(r)
	}
	return g
}

// systemGoroutine says whether the runtime hides a goroutine that starts there: runtime.isSystemGoroutine.
func systemGoroutine(function string) bool {
	switch function {
	case "runtime.main", "runtime.corostart", "runtime.handleAsyncEvent":
		return false
	}
	return strings.HasPrefix(function, "runtime.")
}

func (w *place) frame(pc uint64) *Frame {
	return &Frame{Function: w.function, File: w.file, Line: w.line, Offset: pc - w.entry}
}

// unwind follows the frame pointers of a goroutine that does not run.
func (p *Program) unwind(r *raw) []Frame {
	var list []Frame
	pc, bp := r.pc, r.bp
	for n := 0; n < mostFrames; n++ {
		where, ok := p.at(pc, n > 0)
		if !ok || where.function == "runtime.goexit" {
			break
		}
		list = append(list, *where.frame(pc))
		if bp < r.low || bp-r.low > uint64(len(r.stack)) {
			break
		}
		offset := int(bp - r.low)
		up := word(r.stack, offset)
		if pc = word(r.stack, offset+8); up != 0 && up <= bp {
			break // stacks grow down: callers are above
		}
		bp = up
	}
	return list
}

// WriteGoroutines writes goroutines as Go's tracebacks do, without the runtime's own and what lies within the runtime. It knows
// neither arguments nor functions that the compiler inlined.
func WriteGoroutines(w io.Writer, list []Goroutine) error {
	var b strings.Builder
	for i := range list {
		g := &list[i]
		if g.system {
			continue
		}
		locked := ""
		if g.Locked {
			locked = ", locked to thread"
		}
		fmt.Fprintf(&b, "goroutine %d [%s%s]:\n", g.ID, g.Status, locked)
		if g.Note != "" {
			fmt.Fprintf(&b, "\t%s\n", g.Note)
		}
		within := !slices.ContainsFunc(g.Stack, func(f Frame) bool { return !internalFunction(f.Function) })
		for _, f := range g.Stack {
			if internalFunction(f.Function) && !within {
				continue
			}
			fmt.Fprintf(&b, "%s(...)\n\t%s:%d +%#x\n", f.Function, f.File, f.Line, f.Offset)
		}
		if c := g.Creator; c != nil {
			fmt.Fprintf(&b, "created by %s", c.Function)
			if g.Parent != 0 {
				fmt.Fprintf(&b, " in goroutine %d", g.Parent)
			}
			fmt.Fprintf(&b, "\n\t%s:%d +%#x\n", c.File, c.Line, c.Offset)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// internalFunction says whether Go's tracebacks leave a function out: those of the runtime that nobody else can call.
func internalFunction(name string) bool {
	rest, ok := strings.CutPrefix(name, "runtime.")
	return ok && (rest == "" || rest[0] < 'A' || rest[0] > 'Z') && name != "runtime.gopanic"
}
