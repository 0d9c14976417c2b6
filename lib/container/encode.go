package container

import (
	"encoding/binary"
	"fmt"

	"nom.dev/nom/abi"
)

// encodeSpec makes the bytes of an abi.ContainerSpec.
func encodeSpec(s Spec) ([]byte, error) {
	if s.Name == "" || len(s.Name) >= abi.NameLen {
		return nil, fmt.Errorf("the name %q must have 1 to %d characters", s.Name, abi.NameLen-1)
	}
	for i := range len(s.Name) {
		if s.Name[i] < ' ' || s.Name[i] > '~' {
			return nil, fmt.Errorf("the name %q has a character that is not printable ASCII", s.Name)
		}
	}
	if s.VCPUs < 1 || s.VCPUs > abi.MaxVCPUs {
		return nil, fmt.Errorf("%d vCPUs: 1 to %d are possible", s.VCPUs, abi.MaxVCPUs)
	}
	if s.Pages == 0 || s.Memory%abi.PageSize != 0 || s.Memory > abi.MaxMemory {
		return nil, fmt.Errorf("%d pages in %#x bytes of address space: give at least one page, and whole pages of address space up to %#x bytes",
			s.Pages, s.Memory, uint64(abi.MaxMemory))
	}
	spec := abi.ContainerSpec{Version: abi.Version, VCPUs: uint32(s.VCPUs), Pages: s.Pages, Memory: s.Memory}
	copy(spec.Name[:], s.Name)
	raw := make([]byte, binary.Size(&spec))
	encode(raw, &spec)
	return raw, nil
}

// encode writes a structure of package abi as it crosses the boundary.
func encode(b []byte, v any) {
	if _, err := binary.Encode(b, binary.LittleEndian, v); err != nil {
		panic("container: " + err.Error()) // only for a type without a fixed size, or too little room: caught by the tests
	}
}

// decode is the inverse.
func decode(b []byte, v any) {
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		panic("container: " + err.Error())
	}
}
