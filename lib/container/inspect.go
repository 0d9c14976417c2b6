package container

import (
	"context"
	"encoding/binary"
	"fmt"

	"nom.dev/nom/abi"
)

// Syscall is how often a program made a system call.
type Syscall struct {
	Number  int
	Count   uint64
	Missing bool // the platform has not got it and answered ENOSYS
}

// Syscalls counts the system calls that the program has made. Those that it never made are left out.
func (c *Container) Syscalls(ctx context.Context) ([]Syscall, error) {
	var list []Syscall
	for first := 0; first < mostSyscalls; {
		data, err := c.ask(ctx, abi.ControlCalls, uint64(first))
		if err != nil {
			return nil, fmt.Errorf("container %s: counting its system calls: %w", c.spec.Name, err)
		}
		if len(data) < 8 {
			break
		}
		for ; len(data) >= 8; data = data[8:] {
			if v := binary.LittleEndian.Uint64(data); v != 0 {
				list = append(list, Syscall{first, v &^ abi.ControlMissing, v&abi.ControlMissing != 0})
			}
			first++
		}
	}
	return list, nil
}

// mostSyscalls bounds what is believed of a container.
const mostSyscalls = 4096

// ReadMemory reads the memory of the container's program at a virtual address. It returns fewer bytes than asked for where the
// program has nothing mapped.
func (c *Container) ReadMemory(ctx context.Context, address uint64, buf []byte) (int, error) {
	for n := 0; n < len(buf); {
		want := min(len(buf)-n, abi.ControlData)
		data, err := c.ask(ctx, abi.ControlRead, address+uint64(n), uint64(want))
		if err != nil {
			return n, fmt.Errorf("container %s: reading %d bytes at %#x: %w", c.spec.Name, len(buf), address, err)
		}
		n += copy(buf[n:], data)
		if len(data) < want {
			return n, nil
		}
	}
	return len(buf), nil
}
