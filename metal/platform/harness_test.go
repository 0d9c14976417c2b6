package main

import (
	"bytes"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
)

// The parts of the platform that are no hardware run on Linux: physical memory is a slice, at which a physical address points
// when abi.DirectMap is added to it, and GS points at the CPU's state as it does on the metal.

var fakeMemory struct{ frames, args, files, events []byte }

// physical is the physical address of heap memory.
func physical(b []byte) uint64 { return addressOf(&b[0]) - abi.DirectMap }

// alignedBytes returns n zeroed bytes at a page boundary, outside of the heap: the garbage collector does not see what
// integers point at. They are gone when the test ends.
func alignedBytes(t testing.TB, n int) []byte {
	t.Helper()
	b := anonymous(t, n)
	t.Cleanup(func() { syscall.Munmap(b) })
	return b
}

func anonymous(t testing.TB, n int) []byte {
	t.Helper()
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("mmap of %d bytes: %v", n, err)
	}
	return b
}

// fakeMachine resets the platform: a pool with the given frames, an address space in which everything is the program's,
// files in the bundle, arguments and environment.
func fakeMachine(t testing.TB, frames int, files []bundle.File, env ...string) {
	t.Helper()
	m := &fakeMemory
	if m.frames != nil {
		syscall.Munmap(m.frames)
	}
	m.frames = anonymous(t, frames*pageSize)
	pool = framePool{clean: true}
	pool.add(abi.Range{Addr: physical(m.frames), Size: uint64(len(m.frames))})
	args := []byte(strings.Join(append([]string{"prog"}, env...), "\x00") + "\x00")
	m.args = alignedBytes(t, len(args))
	copy(m.args, args)
	bootPage = &abi.BootPage{NumArgs: 1, NumEnv: uint32(len(env)), Args: abi.Range{Addr: physical(m.args), Size: uint64(len(m.args))}}
	if files != nil {
		var w bytes.Buffer
		if err := bundle.Write(&w, files); err != nil {
			t.Fatal(err)
		}
		m.files = alignedBytes(t, w.Len())
		copy(m.files, w.Bytes())
		bootPage.Files = abi.Range{Addr: physical(m.files), Size: uint64(len(m.files))}
	}
	m.events = alignedBytes(t, pageSize)
	eventPageAddr = physical(m.events)
	for i := range abi.MaxVCPUs {
		eventPage().Core[i] = abi.NoCore
	}
	eventPage().Core[0], eventPage().Slots[0], eventPage().Pages = 0, abi.AllSlots, uint64(frames)
	vmas = vmaTable{}
	vmaShrinks++
	vmas.insert(pageSize, userEnd, protRead|protWrite)
	rootTable = pool.frame()
	filesReady, lowerDirs, umask = false, 0, 0o022
	inodes, entries, longNames, openFiles, pipes, sockets, connections = table{}, table{}, table{}, table{}, table{}, table{}, table{}
	portHeads, connHeads, fragmentsReady, grown = 0, 0, false, 0
	zero(&net)
	zero(&net6)
	zero(&dhcp)
	zero(&nic)
	zero(&netCount)
	zero(&icmpBudget)
	zero(&neighbours)
	zero(&wheel)
	gateway.stream, gateway.datagram, gateway.addressed, gateway.count = 0, 0, 0, 0
	bundleFiles = bundleTree{}
	mappedDescriptors = maxDescriptors * descriptorSize
	descriptors = new([maxDescriptors]descriptor)
	news.first, news.last, news.next = 0, 0, [maxDescriptors]uint16{}
	openConsole()
	fakeCPU(t)
}

func zero[T any](p *T) {
	var none T
	*p = none
}

// fakeCPU makes cpu() work for the rest of the test.
func fakeCPU(t testing.TB) {
	t.Helper()
	const setGS = 0x1001
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	cpus[0] = cpuState{online: 1}
	c := &cpus[0]
	c.self = addressOf(c)
	c.idle = &thread{state: threadRunnable, cpu: c}
	c.current = &thread{id: 1, state: threadRunning, cpu: c, mask: never}
	if _, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, setGS, uintptr(c.self), 0); e != 0 {
		t.Fatalf("arch_prctl(ARCH_SET_GS): %v", e)
	}
}

// platformCall makes a system call of the platform; linuxCall makes the same call of Linux. Both return what Linux leaves in
// RAX. Pointers must point to package variables or the heap.
func platformCall(n uint64, args ...uint64) uint64 {
	var a [6]uint64
	copy(a[:], args)
	f := &frame{AX: n, DI: a[0], SI: a[1], DX: a[2], R10: a[3], R8: a[4], R9: a[5]}
	r, ok := descriptorCall(f, n)
	if !ok {
		return errno(eNOSYS)
	}
	return r
}

func linuxCall(n uint64, args ...uint64) uint64 {
	var a [6]uintptr
	for i, v := range args {
		a[i] = uintptr(v)
	}
	r, _, e := syscall.Syscall6(uintptr(n), a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return errno(uint64(e))
	}
	return uint64(r)
}
