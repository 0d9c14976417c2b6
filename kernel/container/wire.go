package container

import (
	"encoding/binary"

	"nom.dev/nom/abi"
)

// What crosses the boundary as bytes, read and written without reflection: tests compare with encoding/binary.

const (
	specSize   = 128
	stateSize  = 64
	statusSize = 256

	deviceStatusSize = 128
)

var le = binary.LittleEndian

// decodeSpec reads a ContainerSpec; ok is false when no container could be like that.
func decodeSpec(b *[specSize]byte) (s abi.ContainerSpec, ok bool) {
	s.Version, s.VCPUs = le.Uint32(b[0:]), le.Uint32(b[4:])
	s.Pages, s.Memory, s.Flags = le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	copy(s.Name[:], b[64:])
	for _, x := range b[32:64] {
		if x != 0 {
			return s, false
		}
	}
	switch {
	case s.Version != abi.Version, s.Flags != 0, s.VCPUs < 1, s.VCPUs > abi.MaxVCPUs:
		return s, false
	case s.Memory%abi.PageSize != 0, s.Memory > abi.MaxMemory:
		return s, false
	case s.Pages < 1, s.Pages > s.Memory/abi.PageSize, s.Pages+abi.ReservedPages > s.Memory/abi.PageSize:
		return s, false
	}
	return s, validName(&s.Name)
}

// validName says that a name is printable ASCII, then NULs.
func validName(name *[abi.NameLen]byte) bool {
	ended := false
	for _, x := range name {
		switch {
		case x == 0:
			ended = true
		case ended, x < ' ', x > '~':
			return false
		}
	}
	return true
}

func nameOf(name *[abi.NameLen]byte) string {
	n := 0
	for n < len(name) && name[n] != 0 {
		n++
	}
	return string(name[:n])
}

func decodeState(b *[stateSize]byte) (s abi.VCPUState) {
	s.RIP, s.RSP, s.CR3 = le.Uint64(b[0:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	s.RDI, s.RSI = le.Uint64(b[24:]), le.Uint64(b[32:])
	return s
}

// cr3Valid are the bits of CR3 that 64-bit mode without PCIDs knows: the table's address, PWT and PCD.
const cr3Valid = (abi.MaxMemory - abi.PageSize) | 0x18

// validState says that a processor could be in state s: canonical addresses, no reserved bits.
func validState(s abi.VCPUState) bool {
	canonical := func(va uint64) bool { return uint64(int64(va<<16)>>16) == va }
	return canonical(s.RIP) && canonical(s.RSP) && s.CR3&^cr3Valid == 0
}

func encodeStatus(b *[statusSize]byte, s *abi.Status) {
	for i, x := range [...]uint32{s.ID, s.State, s.End, s.Code} {
		le.PutUint32(b[4*i:], x)
	}
	for i, x := range [...]uint64{s.Info, s.Pages, s.Attached, s.PeakPages, s.LentPages} {
		le.PutUint64(b[16+8*i:], x)
	}
	le.PutUint32(b[56:], s.VCPUs)
	le.PutUint32(b[60:], s.Children)
	for i, x := range [...]uint64{s.CPUTime, s.CreatedTSC, s.StartTSC, s.MainTSC, s.EndTSC} {
		le.PutUint64(b[64+8*i:], x)
	}
	for i, x := range s.Exits {
		le.PutUint64(b[104+8*i:], x)
	}
	for i, x := range [...]uint64{s.Given, s.Overhead, s.Limit} {
		le.PutUint64(b[232+8*i:], x)
	}
}

func encodeDeviceStatus(b *[deviceStatusSize]byte, s *abi.DeviceStatus) {
	le.PutUint32(b[0:], s.Index)
	for i, x := range [...]uint64{
		s.Limit.SendBits, s.Limit.SendFrames, s.Limit.ReceiveBits, s.Limit.ReceiveFrames, s.SentFrames, s.SentBytes, s.ReceivedFrames, s.ReceivedBytes,
		s.SendPauses, s.ReceivePauses, s.Resets, s.Blocked, s.BlockedLast, s.SwitchedOff,
	} {
		le.PutUint64(b[8+8*i:], x)
	}
}

// encode is d as an abi.DeviceGrant.
func (d *Device) encode() []byte {
	b := make([]byte, 64)
	le.PutUint32(b[0:], d.Kind)
	le.PutUint32(b[4:], d.ID)
	le.PutUint64(b[8:], d.gpa)
	le.PutUint64(b[16:], d.BARSize)
	le.PutUint32(b[24:], d.Vectors)
	le.PutUint32(b[28:], d.MaxFrame)
	copy(b[32:], d.MAC[:])
	return b
}
