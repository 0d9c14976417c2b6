package svm

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// offset finds a field by its path in the VMCB and adds up the offsets on the way.
func offset(t *testing.T, path ...string) uintptr {
	t.Helper()
	typ, sum := reflect.TypeOf(VMCB{}), uintptr(0)
	for _, name := range path {
		f, ok := typ.FieldByName(name)
		if !ok {
			t.Fatalf("no field %s in %s", name, typ)
		}
		sum, typ = sum+f.Offset, f.Type
	}
	return sum
}

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		v    any
		want uintptr
	}{{VMCB{}, 4096}, {ControlArea{}, 0x400}, {SaveArea{}, 0xc00}, {Segment{}, 16}} {
		if got := reflect.TypeOf(c.v).Size(); got != c.want {
			t.Errorf("size of %T = %#x, want %#x", c.v, got, c.want)
		}
	}
	control := map[string]uintptr{
		"InterceptCR": OffInterceptCR, "InterceptDR": OffInterceptDR, "InterceptException": OffInterceptException,
		"Intercept3": OffIntercept3, "Intercept4": OffIntercept4, "Intercept5": OffIntercept5, "PauseThreshold": 0x3c,
		"PauseCount": 0x3e, "IOPMBase": OffIOPMBase, "MSRPMBase": OffMSRPMBase, "TSCOffset": OffTSCOffset, "ASID": OffASID,
		"TLBControl": OffTLBControl, "IntControl": OffIntControl, "IntVector": OffIntVector, "IntState": OffIntState,
		"ExitCode": OffExitCode, "ExitInfo1": OffExitInfo1, "ExitInfo2": OffExitInfo2, "ExitIntInfo": OffExitIntInfo,
		"NestedControl": OffNestedControl, "AVICBar": 0x98, "GHCB": 0xa0, "EventInj": OffEventInj, "NestedCR3": OffNestedCR3,
		"VirtExt": OffVirtExt, "Clean": OffClean, "NextRIP": OffNextRIP, "FetchedBytes": OffFetchedBytes, "Fetched": 0xd1,
		"AVICBackingPage": 0xe0, "AVICLogicalTable": 0xf0, "AVICPhysicalTable": 0xf8, "VMSA": 0x108, "BusLockCounter": 0x120,
	}
	for name, want := range control {
		if got := offset(t, "Control", name); got != want {
			t.Errorf("offset of Control.%s = %#x, want %#x", name, got, want)
		}
	}
	save := map[string]uintptr{
		"ES": OffES, "CS": OffCS, "SS": OffSS, "DS": OffDS, "FS": OffFS, "GS": OffGS, "GDTR": OffGDTR, "LDTR": OffLDTR,
		"IDTR": OffIDTR, "TR": OffTR, "CPL": OffCPL, "EFER": OffEFER, "CR4": OffCR4, "CR3": OffCR3, "CR0": OffCR0, "DR7": OffDR7,
		"DR6": OffDR6, "RFLAGS": OffRFLAGS, "RIP": OffRIP, "RSP": OffRSP, "SCET": 0x5e0, "SSP": 0x5e8, "ISSTAddr": 0x5f0,
		"RAX": OffRAX, "STAR": OffSTAR, "LSTAR": OffLSTAR, "CSTAR": OffCSTAR, "SFMASK": OffSFMASK, "KernelGSBase": OffKernelGSBase,
		"SysenterCS": 0x628, "SysenterESP": 0x630, "SysenterEIP": 0x638, "CR2": OffCR2, "GPAT": OffGPAT, "DBGCTL": 0x670,
		"BRFrom": 0x678, "BRTo": 0x680, "LastExcpFrom": 0x688, "LastExcpTo": 0x690, "DBGEXTNCFG": 0x698, "SpecCtrl": OffSpecCtrl,
	}
	for name, want := range save {
		if got := offset(t, "Save", name); got != want {
			t.Errorf("offset of Save.%s = %#x, want %#x", name, got, want)
		}
	}
}

func TestCodeNames(t *testing.T) {
	for code, want := range map[uint64]string{
		0: "CR0_READ", 3: "CR3_READ", 0x14: "CR4_WRITE", 0x1f: "CR15_WRITE", 0x27: "DR7_READ", 0x37: "DR7_WRITE", 0x4e: "EXCP14",
		0x60: "INTR", 0x61: "NMI", 0x72: "CPUID", 0x78: "HLT", 0x7b: "IOIO", 0x7c: "MSR", 0x7f: "SHUTDOWN", 0x81: "VMMCALL",
		0x8d: "XSETBV", 0x93: "CR3_WRITE_TRAP", 0x9f: "CR15_WRITE_TRAP", 0xa6: "IDLE_HLT", 0xa7: "exit 0xa7", 0x400: "NPF",
		0xffff_ffff: "INVALID", ExitInvalid: "INVALID", ExitBusy: "BUSY", 0x1234_5678_9abc: "exit 0x123456789abc",
	} {
		if got := CodeName(code); got != want {
			t.Errorf("CodeName(%#x) = %q, want %q", code, got, want)
		}
	}
	for code := uint64(0); code < 0xa7; code++ {
		if CodeName(code) == "" {
			t.Errorf("exit code %#x has no name", code)
		}
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		got  Event
		want uint64
	}{
		{"interrupt", Interrupt(0x40), 0x8000_0040},
		{"nmi", NonMaskable(), 0x8000_0202},
		{"#UD", Exception(6), 0x8000_0306},
		{"#GP", ExceptionCode(13, 0x1234), 0x1234_8000_0b0d},
	} {
		if uint64(c.got) != c.want {
			t.Errorf("%s = %#x, want %#x", c.name, uint64(c.got), c.want)
		}
	}
	e := ExceptionCode(14, 7)
	if code, ok := e.Code(); !e.Valid() || e.Vector() != 14 || e.Type() != EventException || !ok || code != 7 {
		t.Errorf("%#x does not read back", uint64(e))
	}
	// What QEMU leaves in EXITINTINFO after an interrupt was delivered: valid is clear, the rest stale.
	if Event(0x340).Valid() {
		t.Error("a stale EXITINTINFO is taken for an event")
	}
}

func TestExitInfo(t *testing.T) {
	out := IOInfo(0x80_0010 | IOAddr64) // OUT 0x80, AL
	if out.Port() != 0x80 || out.Bytes() != 1 || out.In() || out.IsString() {
		t.Errorf("OUT: port %#x, %d bytes, in %v", out.Port(), out.Bytes(), out.In())
	}
	in := IOInfo(0x3fd<<16 | IOSize32 | IOIn)
	if in.Port() != 0x3fd || in.Bytes() != 4 || !in.In() {
		t.Errorf("IN: port %#x, %d bytes, in %v", in.Port(), in.Bytes(), in.In())
	}
	if got := uint64(NPFFinal | NPFUser | NPFWrite); got != 0x1_0000_0006 {
		t.Errorf("write fault = %#x", got)
	}
}

func TestAttrib(t *testing.T) {
	for _, c := range []struct {
		name       string
		descriptor uint64
		want       uint16
	}{
		{"code", 0x00af_9b00_0000_ffff, 0xa9b},
		{"data", 0x00cf_9300_0000_ffff, 0xc93},
		{"tss", 0x0000_8b00_0000_0067, 0x08b},
	} {
		if got := Attrib(c.descriptor); got != c.want {
			t.Errorf("%s: Attrib(%#x) = %#x, want %#x", c.name, c.descriptor, got, c.want)
		}
	}
	if AttribCode64 != 0xa9b || AttribData != 0xc93 || AttribTSS64 != 0x8b || AttribLDT != 0x82 {
		t.Errorf("flat attributes = %#x %#x %#x %#x", AttribCode64, AttribData, AttribTSS64, AttribLDT)
	}
}

func TestMSRPM(t *testing.T) {
	for _, c := range []struct {
		msr  uint32
		bit  uint32
		want bool
	}{
		{0, 0, true}, {0x10, 0x20, true}, {0x1fff, 0x3ffe, true}, {0x2000, 0, false}, {0xc000_0000, 0x4000, true},
		{0xc000_0080, 0x4100, true}, {0xc000_1fff, 0x7ffe, true}, {0xc000_2000, 0, false}, {0xc001_0000, 0x8000, true},
		{0xc001_0117, 0x822e, true}, {0xc001_2000, 0, false}, {0xbfff_ffff, 0, false}, {0x4000_0000, 0, false}, {0xffff_ffff, 0, false},
	} {
		if bit, ok := MSRPMBit(c.msr); ok != c.want || bit != c.bit {
			t.Errorf("MSRPMBit(%#x) = %#x, %v, want %#x, %v", c.msr, bit, ok, c.bit, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var pm [MSRPMSize]byte
		InterceptAll(pm[:])
		msr := rapid.SampledFrom([]uint32{0, 0xc000_0000, 0xc001_0000}).Draw(t, "range") + rapid.Uint32Range(0, 0x1fff).Draw(t, "msr")
		read, write := rapid.Bool().Draw(t, "read"), rapid.Bool().Draw(t, "write")
		if !AllowMSR(&pm, msr, read, write) {
			t.Fatalf("AllowMSR(%#x) refused", msr)
		}
		if MSRIntercepted(&pm, msr, false) == read || MSRIntercepted(&pm, msr, true) == write {
			t.Fatalf("MSR %#x: read %v write %v does not read back", msr, read, write)
		}
		zeros := 0
		for _, b := range pm {
			for ; b != 0xff; b |= b + 1 {
				zeros++
			}
		}
		want := 0
		if read {
			want++
		}
		if write {
			want++
		}
		if zeros != want {
			t.Fatalf("MSR %#x: %d bits cleared, want %d", msr, zeros, want)
		}
		if !MSRIntercepted(&pm, 0x4000_0000, false) || AllowMSR(&pm, 0x4000_0000, true, true) {
			t.Fatal("an MSR outside the map is allowed")
		}
	})
}

func TestIOPM(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pm [IOPMSize]byte
		InterceptAll(pm[:])
		port := rapid.Uint16().Draw(t, "port")
		AllowPort(&pm, port, true)
		if PortIntercepted(&pm, port, 1) {
			t.Fatalf("port %#x is allowed and intercepted", port)
		}
		if !PortIntercepted(&pm, port, 2) || !PortIntercepted(&pm, port, 4) || !PortIntercepted(&pm, port-1, 2) {
			t.Fatalf("an access across the edge of port %#x is allowed", port)
		}
		AllowPort(&pm, port, false)
		if !PortIntercepted(&pm, port, 1) {
			t.Fatalf("port %#x stays allowed", port)
		}
	})
}

func TestCode(t *testing.T) {
	for in, want := range map[uint64]uint64{0x400: 0x400, 0xffff_ffff: ExitInvalid, 0xffff_fffe: ExitBusy, ExitInvalid: ExitInvalid, 0xf000_0000: 0xf000_0000} {
		if got := Code(in); got != want {
			t.Errorf("Code(%#x) = %#x, want %#x", in, got, want)
		}
	}
}
