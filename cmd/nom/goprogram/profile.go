package goprogram

import (
	"bytes"
	"context"
	"errors"
	"math"
	"time"

	"github.com/google/pprof/profile"
)

// profiler collects what a profile.Profile is made of.
type profiler struct {
	p         *Program
	out       *profile.Profile
	functions map[string]*profile.Function
	locations map[uint64]*profile.Location
}

func (p *Program) profiler(types ...*profile.ValueType) *profiler {
	m := &profile.Mapping{ID: 1, File: "program", HasFunctions: true, HasFilenames: true, HasLineNumbers: true}
	if text := p.file.Section(".text"); text != nil {
		m.Start, m.Limit = text.Addr, text.Addr+text.Size
	}
	return &profiler{p: p, functions: map[string]*profile.Function{}, locations: map[uint64]*profile.Location{},
		out: &profile.Profile{SampleType: types, Mapping: []*profile.Mapping{m}}}
}

// location is that of an address; all but the innermost ones are where calls return to.
func (b *profiler) location(pc uint64, returns bool) *profile.Location {
	look := pc
	if returns {
		look--
	}
	if l := b.locations[look]; l != nil {
		return l
	}
	l := &profile.Location{ID: uint64(len(b.out.Location) + 1), Address: look}
	name, file, line := "[outside of the program: its platform]", "", 0
	if where, ok := b.p.at(look, false); ok {
		name, file, line = where.function, where.file, where.line
		l.Mapping = b.out.Mapping[0]
	}
	f := b.functions[name]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.out.Function) + 1), Name: name, SystemName: name, Filename: file}
		b.functions[name] = f
		b.out.Function = append(b.out.Function, f)
	}
	l.Line = []profile.Line{{Function: f, Line: int64(line)}}
	b.locations[look] = l
	b.out.Location = append(b.out.Location, l)
	return l
}

// CPUProfile is a profile of samples of what a program executes, rate a second and CPU. add takes one, as abi.ControlSamples has it.
func (p *Program) CPUProfile(rate int, start time.Time) (add func(stack []uint64), finish func() *profile.Profile) {
	period := int64(time.Second) / int64(rate)
	b := p.profiler(&profile.ValueType{Type: "samples", Unit: "count"}, &profile.ValueType{Type: "cpu", Unit: "nanoseconds"})
	b.out.PeriodType, b.out.Period = &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, period
	b.out.TimeNanos = start.UnixNano()
	samples := map[string]*profile.Sample{}
	add = func(stack []uint64) {
		key := make([]byte, 0, 8*len(stack))
		s := &profile.Sample{Value: []int64{0, 0}}
		for i, pc := range p.callers(stack) {
			if i > 0 && b.p.lines.PCToFunc(pc) == nil {
				break // not a frame pointer any more
			}
			l := b.location(pc, i > 0)
			s.Location = append(s.Location, l)
			key = append(key, byte(l.ID), byte(l.ID>>8), byte(l.ID>>16), byte(l.ID>>24))
		}
		if old := samples[string(key)]; old != nil {
			s = old
		} else {
			samples[string(key)] = s
			b.out.Sample = append(b.out.Sample, s)
		}
		s.Value[0]++
		s.Value[1] += period
	}
	return add, func() *profile.Profile {
		b.out.DurationNanos = time.Since(start).Nanoseconds()
		return b.out
	}
}

// callers is a sample without the word on top of the stack, unless that is where the interrupted function returns to.
func (p *Program) callers(sample []uint64) []uint64 {
	if len(sample) < 2 || p.frameless(sample[0]) && p.lines.PCToFunc(sample[1]) != nil {
		return sample
	}
	return append([]uint64{sample[0]}, sample[2:]...)
}

// frameless says whether a function has no frame of its own at an address: before PUSHQ BP; MOVQ SP, BP, after POPQ BP, or because
// it never makes one.
func (p *Program) frameless(pc uint64) bool {
	f := p.lines.PCToFunc(pc)
	if f == nil {
		return false
	}
	const prologue = 64 // bytes at most, with the check of the stack's size
	code, err := p.stored(f.Entry, int(min(pc-f.Entry, prologue)))
	if err != nil {
		return false
	}
	next, err := p.stored(pc, 1)
	return !bytes.Contains(code, []byte{0x55, 0x48, 0x89, 0xe5}) || err == nil && next[0] == 0xc3
}

// A bucket of the runtime's memory profile, runtime/mprof.go: its head, so many addresses, and a memRecord: what is published, and
// what will be after each of the next three collections, each of them numbers of allocations and frees, then their bytes.
const (
	bucketAllNext = 8
	bucketNumber  = 40
	bucketHead    = 48
	cycleSize     = 32
	recordSize    = 4 * cycleSize
	mostBuckets   = 100000
	mostBucket    = 512 // addresses
)

// bucket is one of the places where a program allocates.
type bucket struct {
	stack []uint64
	cycle [4][4]int64 // allocs, frees, alloc_bytes, free_bytes
}

// ErrNoMemoryProfile says why there may be nothing to see.
var ErrNoMemoryProfile = errors.New("the program does not sample its allocations: Go's linker leaves that out of programs that never " +
	"call runtime.MemProfile; import net/http/pprof (for its effect on the linker only: import _ \"net/http/pprof\") or set runtime.MemProfileRate")

// HeapProfile is the runtime's own memory profile, as runtime/pprof would write it.
func (p *Program) HeapProfile(ctx context.Context, read Memory) (*profile.Profile, error) {
	head, err := p.variable("mbuckets")
	if err != nil {
		return nil, err
	}
	rates, err := p.variable("MemProfileRate")
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, []Range{{head, 8}, {rates, 8}})
	if err != nil {
		return nil, err
	}
	rate := int64(word(b[1], 0))
	if word(b[0], 0) == 0 || rate <= 0 {
		return nil, ErrNoMemoryProfile
	}
	list, err := readBuckets(ctx, &cached{read: read}, word(b[0], 0))
	if err != nil {
		return nil, err
	}
	return p.heapProfile(list, rate), nil
}

// readBuckets follows the list of all buckets.
func readBuckets(ctx context.Context, m *cached, address uint64) ([]bucket, error) {
	var list []bucket
	for address != 0 {
		if len(list) == mostBuckets {
			return nil, errors.New("the program's list of allocations has no end")
		}
		head, err := m.at(ctx, address, bucketHead)
		if err != nil {
			return nil, err
		}
		n := word(head, bucketNumber)
		if len(head) < bucketHead || n > mostBucket {
			return nil, errors.New("the program's list of allocations makes no sense")
		}
		body, err := m.at(ctx, address+bucketHead, int(n)*8+recordSize)
		if err != nil {
			return nil, err
		}
		var k bucket
		for i := range int(n) {
			k.stack = append(k.stack, word(body, i*8))
		}
		for i := range k.cycle {
			for j := range k.cycle[i] {
				k.cycle[i][j] = int64(word(body, int(n)*8+i*cycleSize+j*8))
			}
		}
		list = append(list, k)
		address = word(head, bucketAllNext)
	}
	return list, nil
}

// heapProfile makes a profile of buckets. Before the first collection nothing is published: then all counts.
func (p *Program) heapProfile(list []bucket, rate int64) *profile.Profile {
	b := p.profiler(&profile.ValueType{Type: "alloc_objects", Unit: "count"}, &profile.ValueType{Type: "alloc_space", Unit: "bytes"},
		&profile.ValueType{Type: "inuse_objects", Unit: "count"}, &profile.ValueType{Type: "inuse_space", Unit: "bytes"})
	b.out.PeriodType, b.out.Period = &profile.ValueType{Type: "space", Unit: "bytes"}, rate
	b.out.DefaultSampleType, b.out.TimeNanos = "inuse_space", time.Now().UnixNano()
	published := false
	for _, k := range list {
		published = published || k.cycle[0] != [4]int64{}
	}
	for _, k := range list {
		sum := k.cycle[0]
		for i := 1; i < len(k.cycle) && !published; i++ {
			for j := range sum {
				sum[j] += k.cycle[i][j]
			}
		}
		allocs, bytes := scaleSample(sum[0], sum[2], rate)
		used, usedBytes := scaleSample(sum[0]-sum[1], sum[2]-sum[3], rate)
		s := &profile.Sample{Value: []int64{allocs, bytes, used, usedBytes}}
		for i, pc := range k.stack {
			if where, ok := p.at(pc, true); len(s.Location) == 0 && i < len(k.stack)-1 && ok && internalFunction(where.function) {
				continue // the allocator
			}
			s.Location = append(s.Location, b.location(pc, true))
		}
		b.out.Sample = append(b.out.Sample, s)
	}
	return b.out
}

// scaleSample estimates what there was when one in about rate bytes was sampled: runtime/pprof.scaleHeapSample.
func scaleSample(count, size, rate int64) (int64, int64) {
	if count <= 0 || size <= 0 {
		return 0, 0
	}
	if rate <= 1 {
		return count, size
	}
	average := float64(size) / float64(count)
	scale := 1 / (1 - math.Exp(-average/float64(rate)))
	return int64(float64(count) * scale), int64(float64(size) * scale)
}

// cached reads memory ahead and keeps its pages: what is linked often lies side by side.
type cached struct {
	read  Memory
	pages map[uint64][]byte
}

const (
	page      = 4096
	readAhead = 4 // pages
)

// at reads size bytes, fewer where there are none.
func (c *cached) at(ctx context.Context, address uint64, size int) ([]byte, error) {
	var out []byte
	for len(out) < size {
		a := address + uint64(len(out))
		base := a &^ (page - 1)
		if _, ok := c.pages[base]; !ok {
			if err := c.fetch(ctx, base); err != nil {
				return nil, err
			}
		}
		data := c.pages[base]
		if a-base >= uint64(len(data)) {
			break
		}
		rest := data[a-base:]
		out = append(out, rest[:min(len(rest), size-len(out))]...)
	}
	return out, nil
}

// fetch reads a page and some that follow.
func (c *cached) fetch(ctx context.Context, base uint64) error {
	data, err := c.read(ctx, []Range{{base, readAhead * page}})
	if err != nil {
		return err
	}
	if c.pages == nil {
		c.pages = map[uint64][]byte{}
	}
	rest := data[0]
	c.pages[base] = nil // also when there is nothing
	for len(rest) > 0 {
		n := min(len(rest), page)
		c.pages[base], rest = rest[:n], rest[n:]
		base += page
	}
	return nil
}
