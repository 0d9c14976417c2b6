package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"nom.dev/nom/abi"
)

// request is what a parent does, and what it finds when it was answered.
func request(t *testing.T, c *abi.Control, command uint32, args ...uint64) ([]byte, int64) {
	t.Helper()
	c.Sequence++
	c.Command = command
	c.Args = [3]uint64{}
	copy(c.Args[:], args)
	if handleControl(c) {
		t.Fatal("a request that is being written was answered")
	}
	c.Sequence++
	if !handleControl(c) || c.Answered != c.Sequence {
		t.Fatal("a request was not answered")
	}
	if handleControl(c) {
		t.Fatal("a request was answered twice")
	}
	if c.Size > abi.ControlData {
		t.Fatalf("the answer has %d bytes", c.Size)
	}
	return c.Data[:c.Size], c.Result
}

// fakeThreads makes the platform have these threads only, numbered from 1 on.
func fakeThreads(t *testing.T, list ...*thread) {
	old, made := threads, threadsMade
	threads, threadsMade = [maxThreads]*thread{}, 1
	for _, n := range list {
		threads[threadsMade], n.id, n.cpu = n, threadsMade, &cpus[0]
		threadsMade++
	}
	waitingSignals, controlAnswered, sigactions = 0, 0, [numPrograms][65]sigaction{}
	t.Cleanup(func() { threads, threadsMade, waitingSignals, sigactions = old, made, 0, [numPrograms][65]sigaction{} })
}

const testHandler = 0x401000

func TestControlSignal(t *testing.T) {
	fakeMachine(t, 16, nil)
	const term, mask = 1 << (sigTERM - 1), never
	idle := &thread{daemon: true}
	companion := &thread{program: programCompanion}
	gone := &thread{state: threadFree}
	deaf := &thread{sigmask: mask, state: threadBlocked}
	sleeper := &thread{state: threadBlocked, wait: waitFutex, mask: never}
	other := &thread{state: threadRunnable}
	c := new(abi.Control)
	send := func(sig uint64, want int64) {
		t.Helper()
		if data, got := request(t, c, abi.ControlSignal, sig); got != want || len(data) != 0 {
			t.Errorf("signal %d: got %d with %d bytes, want %d", sig, got, len(data), want)
		}
	}

	fakeThreads(t, idle, companion, gone, deaf, sleeper, other)
	for _, sig := range []uint64{0, sigKILL, sigSTOP, 65, never} {
		send(sig, -eINVAL)
	}
	send(sigCHLD, 0) // ignored by default
	sigactions[programMain][sigTERM].handler = 1
	send(sigTERM, 0) // ignored
	sigactions[programMain][sigTERM].handler = testHandler
	send(sigTERM, 0)
	for i, n := range []*thread{idle, companion, gone, deaf, other} {
		if n.pending != 0 {
			t.Errorf("thread %d of those that must not have it got the signal", i)
		}
	}
	if sleeper.pending != term || !sleeper.broken || sleeper.state != threadRunnable {
		t.Errorf("the first thread that does not block it: got %+v", *sleeper)
	}

	fakeThreads(t, idle, companion, deaf)
	sigactions[programMain][sigTERM].handler = testHandler
	sigactions[programMain][sigINT].handler = testHandler
	send(sigTERM, 0)
	send(sigINT, 0)
	if deaf.pending != 0 || waitingSignals != term|1<<(sigINT-1) {
		t.Errorf("all block it: got %#x at the thread, %#x waiting", deaf.pending, waitingSignals)
	}
	takeWaiting(companion)
	deaf.sigmask &^= term
	takeWaiting(deaf)
	if companion.pending != 0 || deaf.pending != term || waitingSignals != 1<<(sigINT-1) {
		t.Errorf("unblocked: got %#x at the thread, %#x waiting", deaf.pending, waitingSignals)
	}
}

func TestControlCalls(t *testing.T) {
	fakeMachine(t, 16, nil)
	fakeThreads(t)
	stats.calls = [numPrograms][numSyscalls]uint64{}
	stats.calls[programMain][3], stats.calls[programMain][numSyscalls-1], stats.calls[programCompanion][4] = 7, 9, 1
	stats.missing[numSyscalls-1] = true
	defer func() { stats.missing[numSyscalls-1] = false }()
	c := new(abi.Control)
	var got []uint64
	for {
		data, result := request(t, c, abi.ControlCalls, uint64(len(got)))
		if result != 0 || len(data)%8 != 0 {
			t.Fatalf("got %d with %d bytes", result, len(data))
		}
		if len(data) == 0 {
			break
		}
		for ; len(data) > 0; data = data[8:] {
			got = append(got, binary.LittleEndian.Uint64(data))
		}
	}
	if len(got) != numSyscalls || got[3] != 7 || got[4] != 0 || got[numSyscalls-1] != 9|abi.ControlMissing {
		t.Errorf("got %d counters: %v", len(got), got)
	}
	if data, _ := request(t, c, abi.ControlCalls, never); len(data) != 0 {
		t.Errorf("beyond the last call: got %d bytes", len(data))
	}
	if _, result := request(t, c, 99); result != -eNOSYS {
		t.Errorf("a command that is not there: got %d", result)
	}
}

func TestControlRead(t *testing.T) {
	fakeMachine(t, 64, nil)
	fakeThreads(t)
	vmas = vmaTable{}
	vmaShrinks++
	const base = 0x10_0000_0000
	vmas.insert(base, base+3*pageSize, protRead|protWrite)
	vmas.insert(base+3*pageSize, base+4*pageSize, protNone)
	frame := pool.frame()
	text := bytes.Repeat([]byte("nom!"), pageSize/4)
	copy(bytesAt(direct(frame), pageSize), text)
	if !mapPage(base+pageSize, frame, pteW) {
		t.Fatal("no page tables")
	}
	c := new(abi.Control)
	for _, tt := range []struct {
		address, size uint64
		want          []byte
	}{
		{base, 8, make([]byte, 8)}, // mapped and not touched
		{base + pageSize, 8, text[:8]},
		{base + pageSize + 2, 1 << 40, append([]byte("m!"), text...)[:abi.ControlData]}, // no more than there is room for
		{base + pageSize - 4, 8, []byte("\x00\x00\x00\x00nom!")},
		{base + 2*pageSize - 4, 8, []byte("nom!\x00\x00\x00\x00")},
		{base + 3*pageSize - 4, 8, make([]byte, 4)}, // then not accessible
		{base + 4*pageSize, 8, nil},
		{0, 8, nil},
		{abi.PlatformAddr, 8, nil},
		{abi.DirectMap, 8, nil},
		{never - 3, 8, nil},
	} {
		data, result := request(t, c, abi.ControlRead, tt.address, tt.size)
		if result != 0 || !bytes.Equal(data, tt.want) {
			t.Errorf("%d bytes at %#x: got %d, %q; want %q", tt.size, tt.address, result, data, tt.want)
		}
	}
}

// A profile follows frame pointers, whatever they are, and gives whole samples.
func TestControlProfile(t *testing.T) {
	fakeMachine(t, 256, nil)
	fakeThreads(t)
	vmas = vmaTable{}
	const base = 0x10_0000_0000
	vmas.insert(base, base+2*pageSize, protRead|protWrite)
	stack := pool.frame()
	if !mapPage(base, stack, pteW) {
		t.Fatal("no page tables")
	}
	put := func(at, up, pc uint64) { store64(direct(stack)+at, up); store64(direct(stack)+at+8, pc) }
	put(0x100, base+0x200, 0x401001)
	put(0x200, base+0x300, 0x401002)
	put(0x300, 0, 0x401003)
	put(0x400, base+0x500, 0x401004) // a circle
	put(0x500, base+0x400, 0x401005)
	put(0x600, base+0x600, 0x401006) // itself

	free := pool.nfree
	c := new(abi.Control)
	if _, result := request(t, c, abi.ControlSamples); result != -eINVAL {
		t.Errorf("samples of no profile: got %d", result)
	}
	if _, result := request(t, c, abi.ControlProfile, abi.ControlRate+1); result != -eINVAL {
		t.Errorf("a rate that is too high: got %d", result)
	}
	if _, result := request(t, c, abi.ControlProfile, 100); result != 0 {
		t.Fatalf("starting: got %d", result)
	}
	me := &cpus[0]
	take := func(bp uint64) []uint64 {
		t.Helper()
		me.sampleAt = 0
		me.sample(&frame{FS: 0x402000, IP: 0x401000, SP: base + 0x108, BP: bp})
		data, result := request(t, c, abi.ControlSamples)
		if result != 0 || len(data) < 16 || len(data)%8 != 0 {
			t.Fatalf("got %d with %d bytes", result, len(data))
		}
		words := make([]uint64, len(data)/8)
		for i := range words {
			words[i] = binary.LittleEndian.Uint64(data[i*8:])
		}
		if words[0] != 0 || words[1] != uint64(len(words)-2) || words[2] != 0x401000 || words[3] != 0x401001 {
			t.Fatalf("got %#x", words)
		}
		return words[3:]
	}
	for _, tt := range []struct {
		bp    uint64
		depth int
	}{
		{base + 0x100, 4}, {base + 0x300, 2}, {base + 0x400, abi.ControlDepth - 1}, {base + 0x600, 1}, {base + 0x101, 1}, {base + pageSize - 8, 1},
		{base + pageSize, 1}, {0, 1}, {8, 1}, {never, 1}, {never - 7, 1}, {abi.DirectMap, 1}, {abi.PlatformAddr, 1}, {userEnd - 8, 1}, {1 << 62, 1},
	} {
		if got := take(tt.bp); len(got) != tt.depth {
			t.Errorf("frame pointer %#x: got %#x, want %d words", tt.bp, got, tt.depth)
		}
	}

	// Many samples: what finds no room is counted, and none is divided.
	for range 2000 {
		me.sampleAt = 0
		me.sample(&frame{FS: 0x402000, IP: 0x401000, BP: base + 0x400})
	}
	taken, lost := uint64(0), uint64(0)
	for {
		data, _ := request(t, c, abi.ControlSamples)
		lost += binary.LittleEndian.Uint64(data)
		if len(data) == 8 {
			break
		}
		if (len(data)-8)%(8*(abi.ControlDepth+1)) != 0 {
			t.Fatalf("an answer of %d bytes has a part of a sample", len(data))
		}
		taken += uint64(len(data)-8) / (8 * (abi.ControlDepth + 1))
	}
	if taken+lost != 2000 || taken < 400 || lost == 0 {
		t.Errorf("got %d samples, %d lost, of 2000", taken, lost)
	}

	me.sampleAt = me.busyUntil(nanotime()) + samples.period
	before := samples.head
	me.sample(&frame{FS: 0x402000, IP: 0x401000}) // not yet
	me.sampleAt = 0
	me.sample(&frame{FS: addressOf(&kernelTLS[1]), IP: 0x70001000}) // the platform's own
	me.sampleAt = 0
	me.current.program = programCompanion
	me.sample(&frame{FS: 0x402000, IP: 0x60001000})
	if samples.head != before {
		t.Error("something was sampled that is not to be")
	}
	if _, result := request(t, c, abi.ControlProfile, 0); result != 0 || pool.nfree != free {
		t.Errorf("ending: got %d, %d free frames, want %d", result, pool.nfree, free)
	}
	if me.sampleDue() != never {
		t.Error("the timer still runs for samples")
	}
}
