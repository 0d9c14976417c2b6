package svm

import (
	"encoding/binary"
	"errors"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/backend"
)

// memory is host memory that begins at base.
type memory []byte

const base = 0x10_0000

func (m memory) Phys(pa, n uint64) []byte { return m[pa-base : pa-base+n : pa-base+n] }

func (m memory) Pages(n int) (uint64, error) {
	if n*abi.PageSize != memEnd-mapsAt {
		return 0, errors.New("not that many")
	}
	return mapsAt, nil
}

// CPUID is for tests in which nobody asks.
func (m memory) CPUID(leaf, sub uint32) (a, b, c, d uint32) { return noCPUID(leaf, sub) }

// Where the tests keep what the nonkernel keeps.
const (
	worldAt = base
	mapsAt  = worldAt + vcpuPages*abi.PageSize
	portsAt = mapsAt + mapPages*abi.PageSize
	memEnd  = portsAt + portPages*abi.PageSize
	nested  = 0x1234_5000
)

// newMemory is page-aligned, as any allocation of that size is.
func newMemory() memory { return make(memory, memEnd-base) }

// newWorldAt is vCPU index in m.
func newWorldAt(m memory, index int) *World {
	b, err := New(m)
	if err != nil {
		panic(err)
	}
	return b.NewWorld(worldAt, nested, index).(*World)
}

// exit reads why w came back, on a processor with that CPUID.
func exit(w *World, host CPUID) backend.Exit {
	w.cpuid = host
	return w.Exit()
}

// newWorld is a vCPU that was started and prepared for a shared core.
func newWorld(index int) *World {
	m := newMemory()
	w := newWorldAt(m, index)
	w.Start(abi.VCPUState{RIP: 0x40_1000, RSP: 0x50_0000, CR3: 0x8000, RDI: 7, RSI: 8})
	w.Prepare(false, true)
	return w
}

// noCPUID is for tests in which nobody asks.
func noCPUID(leaf, sub uint32) (a, b, c, d uint32) { panic("CPUID was asked") }

// TestNewWorld pins what the processor reads, by its offsets in the control block (APM vol. 2, appendix B).
func TestNewWorld(t *testing.T) {
	m := newMemory()
	w := newWorldAt(m, 3)
	w.Start(abi.VCPUState{RIP: 0x40_1000, RSP: 0x50_0000, CR3: 0x8000, RDI: 7, RSI: 8})
	w.Prepare(false, true)
	page := m.Phys(worldAt, abi.PageSize)
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		offset int
		want   uint64
	}{
		{"IOPM_BASE_PA", svm.OffIOPMBase, portsAt}, {"MSRPM_BASE_PA", svm.OffMSRPMBase, mapsAt}, {"TSC_OFFSET", svm.OffTSCOffset, 0},
		{"ASID, TLB_CONTROL", svm.OffASID, 1 | svm.TLBFlushAll<<32}, {"NP_ENABLE", svm.OffNestedControl, 1}, {"N_CR3", svm.OffNestedCR3, nested},
		{"V_INTR_MASKING", svm.OffIntControl, 1 << 24}, {"EVENTINJ", svm.OffEventInj, 0}, {"VMCB clean", svm.OffClean, 0},
		{"virtual VMLOAD", svm.OffVirtExt, 0}, {"interrupt shadow", svm.OffIntState, 0},
		{"EFER", svm.OffEFER, 0x1d00}, {"CR0", svm.OffCR0, 0x8001_0033}, {"CR3", svm.OffCR3, 0x8000}, {"CR4", svm.OffCR4, 0x20},
		{"DR6", svm.OffDR6, 0xffff_0ff0}, {"DR7", svm.OffDR7, 0x400}, {"RFLAGS", svm.OffRFLAGS, 2}, {"RIP", svm.OffRIP, 0x40_1000},
		{"RSP", svm.OffRSP, 0x50_0000}, {"RAX", svm.OffRAX, 0}, {"G_PAT", svm.OffGPAT, 0x0007_0406_0007_0406},
		{"CS", svm.OffCS, 0xffff_ffff_0a9b_0008}, {"SS", svm.OffSS, 0xffff_ffff_0c93_0010}, {"DS", svm.OffDS, 0xffff_ffff_0c93_0010},
		{"ES", svm.OffES, 0xffff_ffff_0c93_0010}, {"FS", svm.OffFS, 0xffff_ffff_0c93_0010}, {"GS", svm.OffGS, 0xffff_ffff_0c93_0010},
		{"TR", svm.OffTR, 0xffff_008b_0000}, {"LDTR", svm.OffLDTR, 0xffff_0082_0000}, {"GDTR", svm.OffGDTR, 0}, {"IDTR", svm.OffIDTR, 0},
		{"CR intercepts, DR intercepts", svm.OffInterceptCR, 0xff3f_ff3f<<32 | 1<<24 | 1<<8},
		{"exceptions, intercepts 3", svm.OffInterceptException, 0xfd4c_802f<<32 | 1<<1 | 1<<17 | 1<<18},
		{"intercepts 4, 5", svm.OffIntercept4, 8<<32 | 0x6fff},
	} {
		if got := le.Uint64(page[c.offset:]); got != c.want {
			t.Errorf("%s at %#x: got %#x, want %#x", c.name, c.offset, got, c.want)
		}
	}
	if page[svm.OffCPL] != 0 {
		t.Errorf("CPL: got %d, want 0", page[svm.OffCPL])
	}
	if got, want := w.Call.GPRs, [14]uint64{gpRSI: 8, gpRDI: 7}; got != want {
		t.Errorf("registers: got %#x, want %#x", got, want)
	}
	fpu := m.Phys(worldAt+abi.PageSize, abi.PageSize)
	if got := [2]uint32{uint32(le.Uint16(fpu[0:])), le.Uint32(fpu[24:])}; got != [2]uint32{0x37f, 0x1f80} {
		t.Errorf("FCW and MXCSR: got %#x, want 0x37f and 0x1f80", got)
	}
	if got := le.Uint64(fpu[512:]); got != 0 {
		t.Errorf("XSTATE_BV: got %#x, want 0: all in its initial state", got)
	}
	if w.Call.VMCB != worldAt || w.Call.APICID != 3 || w.Call.Direct != 0 || w.Call.LVTT != 1<<16 {
		t.Errorf("got VMCB %#x, APIC id %d, direct %d, timer %#x", w.Call.VMCB, w.Call.APICID, w.Call.Direct, w.Call.LVTT)
	}
	if w.Call.FPU%64 != 0 {
		t.Errorf("the FPU area at %#x is not aligned for XSAVE", w.Call.FPU)
	}
}

// TestStartForgets: nothing of an earlier run is left when a vCPU starts.
func TestStartForgets(t *testing.T) {
	w := newWorld(0)
	for i := range w.gp {
		w.gp[i] = ^uint64(0)
	}
	for i := range w.fpu {
		w.fpu[i] = 0xff
	}
	w.Start(abi.VCPUState{RIP: 1, RSP: 2, CR3: 3, RDI: 4, RSI: 5})
	if got, want := *w.gp, [14]uint64{gpRSI: 5, gpRDI: 4}; got != want {
		t.Errorf("registers: got %#x, want %#x", got, want)
	}
	for i, b := range w.fpu {
		if b != 0 && i != 0 && i != 1 && i != 24 && i != 25 {
			t.Fatalf("byte %d of the FPU area is %#x", i, b)
		}
	}
}

// TestPrepare: a dedicated core takes interrupts and halts without exits; a flush waits until VMRUN has done it.
func TestPrepare(t *testing.T) {
	w := newWorld(0)
	c := &w.vmcb.Control
	for _, p := range []struct{ direct, flush bool }{{false, false}, {true, false}, {false, true}, {true, true}, {true, false}, {false, false}} {
		waits := c.TLBControl == svm.TLBFlushAll
		w.Prepare(p.direct, p.flush)
		if got, want := c.TLBControl == svm.TLBFlushAll, waits || p.flush; got != want {
			t.Errorf("%+v: flush all: got %v, want %v", p, got, want)
		}
		if got := c.Intercept3&svm.Intercept3INTR != 0; got == p.direct {
			t.Errorf("%+v: INTR is intercepted: %v", p, got)
		}
		if got := c.Intercept3&svm.Intercept3HLT != 0; got == p.direct {
			t.Errorf("%+v: HLT is intercepted: %v", p, got)
		}
		if c.Intercept3&always3 != always3 || c.Intercept4 != always4 || c.Intercept4&svm.Intercept4SVM != svm.Intercept4SVM {
			t.Errorf("%+v: intercepts %#x, %#x", p, c.Intercept3, c.Intercept4)
		}
		if got, want := c.MSRPMBase == mapsAt+svm.MSRPMSize, p.direct; got != want {
			t.Errorf("%+v: MSR permission map at %#x", p, c.MSRPMBase)
		}
		if got, want := w.Call.Direct == 1, p.direct; got != want {
			t.Errorf("%+v: direct %d", p, w.Call.Direct)
		}
		if !p.direct && c.IntControl&svm.IntMasking == 0 {
			t.Errorf("%+v: the guest's IF would mask the host's interrupts", p)
		}
		c.TLBControl = svm.TLBNothing // as the platform after VMRUN
		w.Prepare(p.direct, p.flush)
	}
}

// TestWaiting: what wakes a vCPU that has halted.
func TestWaiting(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  uint64
		virq   bool
		timer  uint64
		vector int
		want   bool
	}{
		{"nothing", 1 << 9, false, 0, -1, false},
		{"a vector", 1 << 9, false, 0, 0x40, true},
		{"a vector of the highest word", 1 << 9, false, 0, 0xff, true},
		{"an exception's vector, which is none", 1 << 9, false, 0, 31, false},
		{"an injected interrupt", 1 << 9, true, 0, -1, true},
		{"a timer that is due", 1 << 9, false, 1000, -1, true},
		{"a timer that was due", 1 << 9, false, 1, -1, true},
		{"a timer that is not due", 1 << 9, false, 1001, -1, false},
		{"all, with interrupts off", 0, true, 1000, 0x40, false},
	} {
		w := newWorld(0)
		w.vmcb.Control.ExitCode = svm.ExitHLT
		w.vmcb.Save.RFLAGS = 2 | c.flags
		if c.virq {
			w.vmcb.Control.IntControl |= svm.IntVIRQ
		}
		if e := exit(w, noCPUID); e.Kind != backend.KindHalt {
			t.Fatalf("%s: kind %d", c.name, e.Kind)
		}
		w.Call.TimerTSC = c.timer
		if c.vector >= 0 {
			w.Raise(uint8(c.vector))
		}
		if got := w.Waiting(1000); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		alarm := c.timer
		if c.flags == 0 {
			alarm = 0
		}
		if got := w.Alarm(); got != alarm {
			t.Errorf("%s: alarm: got %d, want %d", c.name, got, alarm)
		}
	}
}

func TestRaise(t *testing.T) {
	w := newWorld(0)
	for v := range 256 {
		w.Raise(uint8(v))
	}
	if got, want := w.Call.Pending, [4]uint64{0xffff_ffff << 32, ^uint64(0), ^uint64(0), ^uint64(0)}; got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}
