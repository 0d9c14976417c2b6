package abi

import (
	"errors"
	"math/bits"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// TestHypercallNumbers: programs are linked with these numbers.
func TestHypercallNumbers(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want Call
	}{
		{"CallNull", CallNull, 0}, {"CallVersion", CallVersion, 1}, {"CallExit", CallExit, 2}, {"CallCreate", CallCreate, 3},
		{"CallCopy", CallCopy, 4}, {"CallLend", CallLend, 5}, {"CallStart", CallStart, 6}, {"CallStartVCPU", CallStartVCPU, 7},
		{"CallKill", CallKill, 8}, {"CallStatus", CallStatus, 9}, {"CallReap", CallReap, 10}, {"CallGrantPages", CallGrantPages, 11},
		{"CallReclaimPages", CallReclaimPages, 12}, {"CallReturnPages", CallReturnPages, 13}, {"CallGrantCore", CallGrantCore, 14},
		{"CallReclaimCore", CallReclaimCore, 15}, {"CallReturnCore", CallReturnCore, 16}, {"CallNotify", CallNotify, 17},
		{"CallGrantPorts", CallGrantPorts, 18}, {"CallNow", CallNow, 19}, {"CallMark", CallMark, 20},
		{"CallDebugWrite", CallDebugWrite, 21}, {"CallYield", CallYield, 22}, {"CallRoute", CallRoute, 23},
		{"CallMaskDevice", CallMaskDevice, 24},
		{"CallGrantDevice", CallGrantDevice, 25}, {"CallDescribeDevice", CallDescribeDevice, 26},
		{"CallLimitDevice", CallLimitDevice, 27}, {"CallDeviceStatus", CallDeviceStatus, 28}, {"NumCalls", Call(NumCalls), 29},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}

// TestNumbers: constants that a peer compiles in, or that stand in memory or registers.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"Version", Version, 1}, {"PageSize", PageSize, 4096}, {"BootMagic", BootMagic, 0x0154_4f4f_424d_4f4e}, {"BootHost", BootHost, 1},
		{"BootPageAddr", BootPageAddr, 0x1000}, {"EventPageAddr", EventPageAddr, 0x2000}, {"PricePageAddr", PricePageAddr, 0x3000},
		{"ConsoleAddr", ConsoleAddr, 0x4000}, {"EntryTables", EntryTables, 0x8000}, {"ImageAddr", ImageAddr, 0x1_0000},
		{"ReservedPages", ReservedPages, 3}, {"ConsolePages", ConsolePages, 3}, {"EntryTablePages", EntryTablePages, 6},
		{"DirectMap", DirectMap, 0xffff_8000_0000_0000}, {"PlatformAddr", PlatformAddr, 0x7000_0000}, {"VectorEvent", VectorEvent, 0x40},
		{"CopyMax", CopyMax, 262144}, {"LendMax", LendMax, 1024}, {"ReturnMax", ReturnMax, 4096}, {"DebugWriteMax", DebugWriteMax, 1024},
		{"DebugWriteRate", DebugWriteRate, 65536}, {"MaxVCPUs", MaxVCPUs, 16}, {"MaxContainers", MaxContainers, 256},
		{"MaxMemory", MaxMemory, 1 << 40}, {"MaxNotice", MaxNotice, 60_000_000}, {"NameLen", NameLen, 64}, {"MaxRate", MaxRate, 1 << 40},
		{"LendRead", LendRead, 1}, {"LendWrite", LendWrite, 3}, {"MarkMain", MarkMain, 1},
		{"ProtExec", ProtExec, 1}, {"ProtWrite", ProtWrite, 2}, {"ProtRead", ProtRead, 4},
		{"FrameSlots", FrameSlots, 16}, {"SlotMicros", SlotMicros, 1000}, {"AllSlots", AllSlots, 0xffff}, {"NoCore", NoCore, 0xffff_ffff},
		{"StateCreated", StateCreated, 1}, {"StateRunning", StateRunning, 2}, {"StateEnded", StateEnded, 3},
		{"EndExit", EndExit, 1}, {"EndKilled", EndKilled, 2}, {"EndShutdown", EndShutdown, 3}, {"EndMemory", EndMemory, 4},
		{"EndIllegal", EndIllegal, 5}, {"EndParent", EndParent, 6},
		{"ExitHypercall", ExitHypercall, 0}, {"ExitPageFault", ExitPageFault, 1}, {"ExitHalt", ExitHalt, 2}, {"ExitInterrupt", ExitInterrupt, 3},
		{"ExitNMI", ExitNMI, 4}, {"ExitMSR", ExitMSR, 5}, {"ExitPort", ExitPort, 6}, {"ExitCPUID", ExitCPUID, 7}, {"ExitOther", ExitOther, 8},
		{"NumExits", NumExits, 9},
		{"EventChild", EventChild, 1}, {"EventReclaimPages", EventReclaimPages, 2}, {"EventReclaimCore", EventReclaimCore, 4},
		{"EventGrant", EventGrant, 8}, {"EventKill", EventKill, 16}, {"EventUser", EventUser, 0xffff_ffff << 32},
		{"ConsoleBit", ConsoleBit, 1 << 32}, {"SpaceBit", SpaceBit, 1 << 33}, {"ConsoleData", ConsoleData, 4096},
		{"ResourceCore", ResourceCore, 0}, {"ResourceMemory", ResourceMemory, 1}, {"ResourceNetwork", ResourceNetwork, 2},
		{"ResourceStorage", ResourceStorage, 3}, {"NumResources", NumResources, 4},
		{"FirstDeviceVector", FirstDeviceVector, 0x41}, {"LastDeviceVector", LastDeviceVector, 0xdf}, {"MaxDevices", MaxDevices, 4},
		{"DeviceIGBVF", DeviceIGBVF, 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

// TestAddresses: the fixed areas of a container neither overlap nor leave the pages below the image.
func TestAddresses(t *testing.T) {
	end := uint64(PageSize) // page 0 stays unmapped
	for _, a := range []struct {
		name        string
		addr, pages uint64
	}{
		{"boot page", BootPageAddr, 1}, {"event page", EventPageAddr, 1}, {"price page", PricePageAddr, 1},
		{"console", ConsoleAddr, ConsolePages}, {"entry tables", EntryTables, EntryTablePages},
	} {
		if a.addr < end || a.addr%PageSize != 0 {
			t.Errorf("the %s begins at %#x, inside what ends at %#x, or within a page", a.name, a.addr, end)
		}
		end = a.addr + a.pages*PageSize
	}
	if end > ImageAddr {
		t.Errorf("the fixed areas end at %#x, beyond ImageAddr", end)
	}
	if NumExits > len(Status{}.Exits) {
		t.Errorf("Status has room for %d reasons, and there are %d", len(Status{}.Exits), NumExits)
	}
	if bits.OnesCount64(ConsoleData) != 1 {
		t.Errorf("ConsoleData is %d, not a power of two: positions that wrap at 2^32 would jump", ConsoleData)
	}
	if ConsoleBit&^uint64(EventUser) != 0 || SpaceBit&^uint64(EventUser) != 0 {
		t.Error("ConsoleBit and SpaceBit must be among EventUser, or CallNotify refuses them")
	}
}

// errnos are all errors that hypercalls return, and the names by which Linux's tools know them.
var errnos = map[Errno]syscall.Errno{
	EPERM: syscall.EPERM, ENOENT: syscall.ENOENT, EAGAIN: syscall.EAGAIN, ENOMEM: syscall.ENOMEM, EFAULT: syscall.EFAULT,
	EBUSY: syscall.EBUSY, EINVAL: syscall.EINVAL, ENOSPC: syscall.ENOSPC, ENOSYS: syscall.ENOSYS,
}

func TestErrnos(t *testing.T) {
	texts := map[string]Errno{}
	unknown := Errno(maxErrn).Error()
	for e, linux := range errnos {
		if uint64(e) != uint64(linux) {
			t.Errorf("%q: got %d, want Linux's %d", e, uint64(e), uint64(linux))
		}
		if other, ok := texts[e.Error()]; ok || e.Error() == unknown {
			t.Errorf("errors %d and %d both say %q", e, other, e)
		}
		texts[e.Error()] = e
		if _, err := Result(e.RAX()); !errors.Is(err, e) {
			t.Errorf("RAX of %q: got %v back", e, err)
		}
	}
}

func TestResult(t *testing.T) {
	for _, c := range []struct {
		rax   uint64
		value uint64
		err   error
	}{
		{0, 0, nil}, {1, 1, nil}, {1 << 63, 1 << 63, nil}, {^uint64(0), 0, EPERM}, {^uint64(0) - 37, 0, ENOSYS},
		{1<<64 - 4095, 0, Errno(4095)}, {1<<64 - 4096, 1<<64 - 4096, nil},
	} {
		if value, err := Result(c.rax); value != c.value || err != c.err {
			t.Errorf("%#x: got %#x, %v, want %#x, %v", c.rax, value, err, c.value, c.err)
		}
	}
}

// TestResultRoundTrip: RAX carries every value outside of the last page of numbers and every error, and never confuses them.
func TestResultRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Errno(rapid.Int64Range(1, maxErrn).Draw(t, "error"))
		if v, err := Result(e.RAX()); v != 0 || err != e {
			t.Fatalf("error %d: got %d, %v back", e, v, err)
		}
		value := rapid.Uint64Max(1<<64-1-maxErrn).Draw(t, "value")
		if v, err := Result(value); v != value || err != nil {
			t.Fatalf("value %#x: got %#x, %v back", value, v, err)
		}
		rax := rapid.Uint64().Draw(t, "rax")
		v, err := Result(rax)
		if e, ok := err.(Errno); !ok && v != rax || ok && e.RAX() != rax {
			t.Fatalf("RAX %#x: got %#x, %v", rax, v, err)
		}
	})
}
