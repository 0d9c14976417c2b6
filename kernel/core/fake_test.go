package core

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync/atomic"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/metal/call"
)

// What both simulated machines have in common: memory, and what the platform does around VMRUN.

const (
	ramBase  = 16 << 20
	ramSize  = 8 << 20
	keptSize = 64 << 10 // of it, for the nonkernel itself
	fakeHz   = 1_000_000_000
	slotTime = fakeHz / 1_000_000 * abi.SlotMicros
)

// fakeRAM is physical memory.
type fakeRAM struct{ ram []byte }

func newRAM() fakeRAM { return fakeRAM{make([]byte, ramSize)} }

func (f *fakeRAM) pages(n int) (uint64, error) { return ramBase + ramSize - keptSize, nil }

func (f *fakeRAM) phys(pa, n uint64) []byte {
	if pa < ramBase || pa+n > ramBase+ramSize {
		panic(fmt.Sprintf("no memory at %#x+%#x", pa, n))
	}
	return f.ram[pa-ramBase : pa-ramBase+n : pa-ramBase+n]
}

func (f *fakeRAM) cpuid(leaf, sub uint32) (a, b, c, d uint32) { return 0, 0, 0, 0 }

// notEntered is what the platform answers when somebody kicked before VMRUN.
func notEntered(w *call.World, v *svm.VMCB) {
	v.Control.ExitCode = svm.ExitINTR
	if w.Direct != 0 {
		v.Control.ExitCode = svm.ExitNMI
	}
	v.Control.ExitIntInfo = v.Control.EventInj
}

// inject makes the timer and the highest pending vector a virtual interrupt, as the platform does.
func inject(w *call.World, v *svm.VMCB, now uint64) {
	if w.TimerTSC != 0 && now >= w.TimerTSC {
		w.TimerTSC = 0
		atomic.OrUint64(&w.Pending[timerVector>>6], 1<<(timerVector&63))
	}
	if v.Control.IntControl&svm.IntVIRQ != 0 {
		return
	}
	for i := 3; i >= 0; i-- {
		if p := atomic.LoadUint64(&w.Pending[i]); p != 0 {
			b := 63 - bits.LeadingZeros64(p)
			atomic.AndUint64(&w.Pending[i], ^(uint64(1) << b))
			v.Control.IntControl |= svm.IntVIRQ
			v.Control.IntVector = uint32(i*64 + b)
			return
		}
	}
}

const (
	timerVector = 0x30
	otherVector = 0x31
)

// take says which vector the guest takes now, if there is one and its IF allows.
func take(v *svm.VMCB) (uint32, bool) {
	if v.Control.IntControl&svm.IntVIRQ == 0 || v.Save.RFLAGS&flagIF == 0 {
		return 0, false
	}
	v.Control.IntControl &^= svm.IntVIRQ
	return v.Control.IntVector, true
}

const flagIF = 1 << 9

// bootFake makes a kernel with a root container on m, of vcpus vCPUs of which some have started; wrap may put something between them.
func bootFake(t testing.TB, m *Machine, cores, vcpus, started int, wrap func(*Machine) container.Machine) *container.Container {
	t.Helper()
	var between container.Machine = m
	if wrap != nil {
		between = wrap(m)
	}
	vcpuPages, portPages := m.Overhead()
	k, err := container.New(container.Config{
		Machine:        between,
		Memory:         []abi.Range{{Addr: ramBase, Size: ramSize - keptSize}},
		Cores:          cores,
		TSCHz:          fakeHz,
		VCPUPages:      vcpuPages,
		ContainerPages: portPages,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Use(k)
	root, err := k.NewRoot(container.RootSpec{Name: "root", VCPUs: vcpus})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(root, abi.VCPUState{RIP: 0x1000}); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < started; i++ {
		hypercall(t, root.VCPUs[0], m, abi.CallStartVCPU, uint64(i), zeros)
	}
	return root
}

// Where root's calls find their arguments: a ContainerSpec, and a VCPUState of zeros, which is as good as any here.
const (
	scratch = 0x2_0000
	zeros   = 0x3_0000
)

// writeSpec describes a small child of two vCPUs to CallCreate.
func writeSpec(m *Machine, root *container.Container) error {
	spec := abi.ContainerSpec{Version: abi.Version, VCPUs: 2, Pages: 64, Memory: 1 << 20}
	raw, err := binary.Append(nil, binary.LittleEndian, &spec)
	if err != nil {
		return err
	}
	return m.kernel.CopyTo(root, scratch, raw)
}

// makeChild makes a child of root that has not started.
func makeChild(t testing.TB, m *Machine, root *container.Container) uint64 {
	t.Helper()
	if err := writeSpec(m, root); err != nil {
		t.Fatal(err)
	}
	return hypercall(t, root.VCPUs[0], m, abi.CallCreate, scratch)
}

// hypercall is a call of v that succeeds, made from outside of the guest.
func hypercall(t testing.TB, v *container.VCPU, m *Machine, nr abi.Call, args ...uint64) uint64 {
	t.Helper()
	var a [6]uint64
	copy(a[:], args)
	value, err := abi.Result(m.kernel.Hypercall(v, nr, a).RAX)
	if err != nil {
		t.Fatalf("call %d %#x: %v", nr, args, err)
	}
	return value
}
