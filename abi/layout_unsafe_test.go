package abi

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unsafe"
)

// SAFETY: this file asks for sizes and offsets, which the compiler answers, and reads the bytes of values that it owns.

// place is where a field must lie.
type place struct {
	name      string
	got, want uintptr
}

// layouts are the sizes and offsets of everything that crosses the boundary, written down by hand. A change here is a new Version.
func layouts() map[string]struct {
	size, want uintptr
	fields     []place
} {
	var (
		spec    ContainerSpec
		state   VCPUState
		status  Status
		boot    BootPage
		event   EventPage
		price   PricePage
		ring    ConsoleRing
		stream  ConsoleStream
		control Control
		segment Segment
		rng     Range
		device  DeviceGrant
		limit   DeviceLimit
		did     DeviceStatus
	)
	return map[string]struct {
		size, want uintptr
		fields     []place
	}{
		"Range": {unsafe.Sizeof(rng), 16, []place{
			{"Addr", unsafe.Offsetof(rng.Addr), 0}, {"Size", unsafe.Offsetof(rng.Size), 8},
		}},
		"Segment": {unsafe.Sizeof(segment), 40, []place{
			{"VA", unsafe.Offsetof(segment.VA), 0}, {"PA", unsafe.Offsetof(segment.PA), 8},
			{"Size", unsafe.Offsetof(segment.Size), 16}, {"Zero", unsafe.Offsetof(segment.Zero), 24},
			{"Prot", unsafe.Offsetof(segment.Prot), 32},
		}},
		"ContainerSpec": {unsafe.Sizeof(spec), 128, []place{
			{"Version", unsafe.Offsetof(spec.Version), 0}, {"VCPUs", unsafe.Offsetof(spec.VCPUs), 4},
			{"Pages", unsafe.Offsetof(spec.Pages), 8}, {"Memory", unsafe.Offsetof(spec.Memory), 16},
			{"Flags", unsafe.Offsetof(spec.Flags), 24}, {"Name", unsafe.Offsetof(spec.Name), 64},
		}},
		"VCPUState": {unsafe.Sizeof(state), 64, []place{
			{"RIP", unsafe.Offsetof(state.RIP), 0}, {"RSP", unsafe.Offsetof(state.RSP), 8}, {"CR3", unsafe.Offsetof(state.CR3), 16},
			{"RDI", unsafe.Offsetof(state.RDI), 24}, {"RSI", unsafe.Offsetof(state.RSI), 32},
		}},
		"Status": {unsafe.Sizeof(status), 256, []place{
			{"ID", unsafe.Offsetof(status.ID), 0}, {"State", unsafe.Offsetof(status.State), 4}, {"End", unsafe.Offsetof(status.End), 8},
			{"Code", unsafe.Offsetof(status.Code), 12}, {"Info", unsafe.Offsetof(status.Info), 16},
			{"Pages", unsafe.Offsetof(status.Pages), 24}, {"Attached", unsafe.Offsetof(status.Attached), 32},
			{"PeakPages", unsafe.Offsetof(status.PeakPages), 40}, {"LentPages", unsafe.Offsetof(status.LentPages), 48},
			{"VCPUs", unsafe.Offsetof(status.VCPUs), 56}, {"Children", unsafe.Offsetof(status.Children), 60},
			{"CPUTime", unsafe.Offsetof(status.CPUTime), 64}, {"CreatedTSC", unsafe.Offsetof(status.CreatedTSC), 72},
			{"StartTSC", unsafe.Offsetof(status.StartTSC), 80}, {"MainTSC", unsafe.Offsetof(status.MainTSC), 88},
			{"EndTSC", unsafe.Offsetof(status.EndTSC), 96}, {"Exits", unsafe.Offsetof(status.Exits), 104},
			{"Given", unsafe.Offsetof(status.Given), 232}, {"Overhead", unsafe.Offsetof(status.Overhead), 240},
			{"Limit", unsafe.Offsetof(status.Limit), 248},
		}},
		"BootPage": {unsafe.Sizeof(boot), 1472, []place{
			{"Magic", unsafe.Offsetof(boot.Magic), 0}, {"Flags", unsafe.Offsetof(boot.Flags), 8}, {"Entry", unsafe.Offsetof(boot.Entry), 16},
			{"Main", unsafe.Offsetof(boot.Main), 24}, {"Args", unsafe.Offsetof(boot.Args), 32}, {"NumArgs", unsafe.Offsetof(boot.NumArgs), 48},
			{"NumEnv", unsafe.Offsetof(boot.NumEnv), 52}, {"Segments", unsafe.Offsetof(boot.Segments), 56},
			{"NumSegments", unsafe.Offsetof(boot.NumSegments), 696}, {"NumFree", unsafe.Offsetof(boot.NumFree), 700},
			{"Free", unsafe.Offsetof(boot.Free), 704}, {"MemoryTop", unsafe.Offsetof(boot.MemoryTop), 832},
			{"Bundle", unsafe.Offsetof(boot.Bundle), 840}, {"Files", unsafe.Offsetof(boot.Files), 856},
			{"VCPUs", unsafe.Offsetof(boot.VCPUs), 872}, {"TSCHz", unsafe.Offsetof(boot.TSCHz), 880}, {"APICHz", unsafe.Offsetof(boot.APICHz), 888},
			{"WallTSC", unsafe.Offsetof(boot.WallTSC), 896}, {"WallNanos", unsafe.Offsetof(boot.WallNanos), 904},
			{"Console", unsafe.Offsetof(boot.Console), 912}, {"StartInfo", unsafe.Offsetof(boot.StartInfo), 920},
			{"ImageEnd", unsafe.Offsetof(boot.ImageEnd), 928}, {"APEntry", unsafe.Offsetof(boot.APEntry), 936},
			{"APEntryTab", unsafe.Offsetof(boot.APEntryTab), 944}, {"HostPool", unsafe.Offsetof(boot.HostPool), 952},
			{"Managed", unsafe.Offsetof(boot.Managed), 960}, {"NumManaged", unsafe.Offsetof(boot.NumManaged), 1088},
			{"NumCPUs", unsafe.Offsetof(boot.NumCPUs), 1092}, {"RSDP", unsafe.Offsetof(boot.RSDP), 1096},
			{"Seed", unsafe.Offsetof(boot.Seed), 1104}, {"Name", unsafe.Offsetof(boot.Name), 1136},
			{"Devices", unsafe.Offsetof(boot.Devices), 1200}, {"NumDevices", unsafe.Offsetof(boot.NumDevices), 1456},
		}},
		"DeviceGrant": {unsafe.Sizeof(device), 64, []place{
			{"Kind", unsafe.Offsetof(device.Kind), 0}, {"Index", unsafe.Offsetof(device.Index), 4}, {"BAR", unsafe.Offsetof(device.BAR), 8},
			{"Vectors", unsafe.Offsetof(device.Vectors), 24}, {"MaxFrame", unsafe.Offsetof(device.MaxFrame), 28},
			{"MAC", unsafe.Offsetof(device.MAC), 32},
		}},
		"DeviceLimit": {unsafe.Sizeof(limit), 32, []place{
			{"SendBits", unsafe.Offsetof(limit.SendBits), 0}, {"SendFrames", unsafe.Offsetof(limit.SendFrames), 8},
			{"ReceiveBits", unsafe.Offsetof(limit.ReceiveBits), 16}, {"ReceiveFrames", unsafe.Offsetof(limit.ReceiveFrames), 24},
		}},
		"DeviceStatus": {unsafe.Sizeof(did), 128, []place{
			{"Index", unsafe.Offsetof(did.Index), 0}, {"Limit", unsafe.Offsetof(did.Limit), 8},
			{"SentFrames", unsafe.Offsetof(did.SentFrames), 40}, {"SentBytes", unsafe.Offsetof(did.SentBytes), 48},
			{"ReceivedFrames", unsafe.Offsetof(did.ReceivedFrames), 56}, {"ReceivedBytes", unsafe.Offsetof(did.ReceivedBytes), 64},
			{"SendPauses", unsafe.Offsetof(did.SendPauses), 72}, {"ReceivePauses", unsafe.Offsetof(did.ReceivePauses), 80},
			{"Resets", unsafe.Offsetof(did.Resets), 88}, {"Blocked", unsafe.Offsetof(did.Blocked), 96}, {"BlockedLast", unsafe.Offsetof(did.BlockedLast), 104},
			{"SwitchedOff", unsafe.Offsetof(did.SwitchedOff), 112},
		}},
		"EventPage": {unsafe.Sizeof(event), 256, []place{
			{"Pending", unsafe.Offsetof(event.Pending), 0}, {"Generation", unsafe.Offsetof(event.Generation), 8},
			{"Pages", unsafe.Offsetof(event.Pages), 16}, {"ReclaimPages", unsafe.Offsetof(event.ReclaimPages), 24},
			{"ReclaimDeadline", unsafe.Offsetof(event.ReclaimDeadline), 32}, {"ReclaimSlots", unsafe.Offsetof(event.ReclaimSlots), 40},
			{"ReclaimSlotsTSC", unsafe.Offsetof(event.ReclaimSlotsTSC), 104}, {"KillDeadline", unsafe.Offsetof(event.KillDeadline), 112},
			{"Slots", unsafe.Offsetof(event.Slots), 120}, {"Core", unsafe.Offsetof(event.Core), 184},
			{"ChildEvents", unsafe.Offsetof(event.ChildEvents), 248},
		}},
		"PricePage": {unsafe.Sizeof(price), 128, []place{
			{"Sequence", unsafe.Offsetof(price.Sequence), 0}, {"Tick", unsafe.Offsetof(price.Tick), 8},
			{"TickTSC", unsafe.Offsetof(price.TickTSC), 16}, {"Balance", unsafe.Offsetof(price.Balance), 24},
			{"Price", unsafe.Offsetof(price.Price), 32}, {"Forecast", unsafe.Offsetof(price.Forecast), 64},
			{"Held", unsafe.Offsetof(price.Held), 96},
		}},
		"ConsoleStream": {unsafe.Sizeof(stream), 512, []place{
			{"Head", unsafe.Offsetof(stream.Head), 0}, {"Tail", unsafe.Offsetof(stream.Tail), 64}, {"Wait", unsafe.Offsetof(stream.Wait), 68},
		}},
		"Control": {unsafe.Sizeof(control), 2048, []place{
			{"Sequence", unsafe.Offsetof(control.Sequence), 0}, {"Command", unsafe.Offsetof(control.Command), 4},
			{"Args", unsafe.Offsetof(control.Args), 8}, {"Answered", unsafe.Offsetof(control.Answered), 64},
			{"Size", unsafe.Offsetof(control.Size), 68}, {"Result", unsafe.Offsetof(control.Result), 72},
			{"Data", unsafe.Offsetof(control.Data), 128},
		}},
		"ConsoleRing": {unsafe.Sizeof(ring), ConsolePages * PageSize, []place{
			{"Stream", unsafe.Offsetof(ring.Stream), 0}, {"Stream[1]", unsafe.Offsetof(ring.Stream) + unsafe.Sizeof(ring.Stream[0]), 512},
			{"Dropped", unsafe.Offsetof(ring.Dropped), 1024},
			{"Control", unsafe.Offsetof(ring.Control), 2048}, {"Data", unsafe.Offsetof(ring.Data), 4096}, {"Data[1]", unsafe.Offsetof(ring.Data) + unsafe.Sizeof(ring.Data[0]), 8192},
		}},
	}
}

func TestLayout(t *testing.T) {
	for name, l := range layouts() {
		if l.size != l.want {
			t.Errorf("size of %s: got %d, want %d", name, l.size, l.want)
		}
		for _, f := range l.fields {
			if f.got != f.want {
				t.Errorf("offset of %s.%s: got %d, want %d", name, f.name, f.got, f.want)
			}
		}
	}
}

// bytesOf is what a peer sees of x.
func bytesOf[T any](x *T) []byte {
	// SAFETY: x is alive and as large as the slice, and no structure here holds a pointer.
	return unsafe.Slice((*byte)(unsafe.Pointer(x)), unsafe.Sizeof(*x))
}

// check compares a filled T with its golden bytes, with what encoding/binary makes of it, and reads it back.
func check[T comparable](t *testing.T) {
	var x, back T
	fill(&x)
	raw := bytesOf(&x)
	golden(t, raw, describe(&x))
	var wire bytes.Buffer
	if err := binary.Write(&wire, binary.LittleEndian, &x); err != nil {
		t.Fatalf("%T: %v", x, err)
	}
	if !bytes.Equal(wire.Bytes(), raw) {
		t.Errorf("%T: its bytes in memory are not its fields in little-endian order: there is padding without a name", x)
	}
	copy(bytesOf(&back), raw)
	if back != x {
		t.Errorf("%T: got %+v back, want %+v", x, back, x)
	}
}

func TestGoldenBytes(t *testing.T) {
	t.Run("Range", check[Range])
	t.Run("Segment", check[Segment])
	t.Run("ContainerSpec", check[ContainerSpec])
	t.Run("VCPUState", check[VCPUState])
	t.Run("Status", check[Status])
	t.Run("BootPage", check[BootPage])
	t.Run("DeviceGrant", check[DeviceGrant])
	t.Run("DeviceStatus", check[DeviceStatus])
	t.Run("EventPage", check[EventPage])
	t.Run("PricePage", check[PricePage])
	t.Run("ConsoleStream", check[ConsoleStream])
	t.Run("Control", check[Control])
	t.Run("ConsoleRing", check[ConsoleRing])
}
