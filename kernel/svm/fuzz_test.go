package svm

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/backend"
)

// garbage lets a guest leave anything in its registers and its control block, and holds that the nonkernel neither panics nor gives
// it anything.
func garbage(t interface {
	Helper()
	Fatalf(string, ...any)
}, code uint64, b []byte) {
	t.Helper()
	m := newMemory()
	w := newWorldAt(m, 1)
	w.Start(abi.VCPUState{})
	w.Prepare(false, false)
	page := m.Phys(worldAt, abi.PageSize)
	own := [svm.OffIntControl]byte(page) // what only the nonkernel writes
	n := copy(page[svm.OffIntControl:svm.OffNestedControl], b)
	b = b[n:]
	n = copy(page[svm.ControlSize:], b)
	b = b[n:]
	for i := range w.gp {
		if len(b) >= 8 {
			w.gp[i] = binary.LittleEndian.Uint64(b)
			b = b[8:]
		}
	}
	w.vmcb.Control.ExitCode = code
	rip := w.vmcb.Save.RIP
	e := exit(w, everything)
	if e.Reason < 0 || e.Reason >= abi.NumExits || e.Kind < backend.KindInterrupt || e.Kind > backend.KindIllegal {
		t.Fatalf("code %#x: %+v", code, e)
	}
	if [svm.OffIntControl]byte(page) != own {
		t.Fatalf("code %#x: the guest changed its intercepts", code)
	}
	c := &w.vmcb.Control
	if c.NestedCR3 != nested || c.NestedControl != svm.NestedPaging {
		t.Fatalf("code %#x: nested paging %#x, tables at %#x", code, c.NestedControl, c.NestedCR3)
	}
	if ev := svm.Event(c.EventInj); ev.Valid() && ev.Type() == svm.EventException && ev.Vector() >= 32 || ev.Valid() && ev.Type() == svm.EventSoftware {
		t.Fatalf("code %#x: VMRUN would refuse or repeat event %#x", code, c.EventInj)
	}
	if e.Kind == backend.KindIllegal && w.vmcb.Save.RIP != rip {
		t.Fatalf("code %#x: an exit that ends the container moved RIP", code)
	}
	w.Raise(uint8(code))
	w.Waiting(uint64(len(b)))
	w.Return(code)
}

// exitCodes are those that processors have, and the borders between them.
var exitCodes = func() (list []uint64) {
	for code := range uint64(0x100) {
		list = append(list, code)
	}
	return append(list, 0x400, 0x401, 0x402, 0x403, 0x404, 0xffff_ffff, svm.ExitInvalid, svm.ExitBusy, 1<<32|svm.ExitVMMCALL)
}()

func TestGarbage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.OneOf(rapid.SampledFrom(exitCodes), rapid.Uint64()).Draw(t, "code")
		seed := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "pattern")
		b := make([]byte, 0, 8192)
		for len(b) < 4096 {
			b = append(b, seed...)
		}
		garbage(t, code, b)
	})
}

func FuzzExit(f *testing.F) {
	for _, code := range exitCodes {
		f.Add(code, []byte{byte(code)})
	}
	f.Add(uint64(svm.ExitIOIO), make([]byte, 4096))
	f.Fuzz(func(t *testing.T, code uint64, b []byte) { garbage(t, code, b) })
}
