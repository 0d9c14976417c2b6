package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Limits of what can be asked about a program that runs.
const (
	MaxRead    = 1 << 20 // bytes of memory in one request
	MaxRanges  = 1024    // in one request
	MaxProfile = 600     // seconds
	maxStack   = 1024    // addresses of a sample that are believed
)

// Syscall is how often a program made a system call of Linux.
type Syscall struct {
	Number  int    `json:"number"`
	Count   uint64 `json:"count"`
	Missing bool   `json:"missing,omitempty"` // answered with ENOSYS
}

// Range is a stretch of a program's memory.
type Range struct {
	Address uint64 `json:"address"`
	Size    int    `json:"size"`
}

// Program reads the ELF file of a container's program.
func (c *Client) Program(ctx context.Context, name string) ([]byte, error) {
	answer, err := c.do(ctx, "GET", containerPath(name, "/program"), nil, 0, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, MaxProgram))
	if err == nil && int64(len(b)) != answer.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading the program of %s: %w", name, err)
	}
	return b, nil
}

// Syscalls counts the system calls that a container's program has made.
func (c *Client) Syscalls(ctx context.Context, name string) (list []Syscall, err error) {
	err = c.get(ctx, "GET", containerPath(name, "/syscalls"), &list)
	return list, err
}

// Memory reads the memory of a container's program. What is not there makes an element shorter.
func (c *Client) Memory(ctx context.Context, name string, ranges []Range) (data [][]byte, err error) {
	raw, err := json.Marshal(ranges)
	if err != nil {
		return nil, err
	}
	answer, err := c.do(ctx, "POST", containerPath(name, "/memory"), bytes.NewReader(raw), int64(len(raw)), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if err := decode(answer.Body, &data); err != nil {
		return nil, err
	}
	if len(data) != len(ranges) {
		return nil, fmt.Errorf("the machine read %d ranges instead of %d", len(data), len(ranges))
	}
	for i, d := range data {
		if len(d) > ranges[i].Size {
			return nil, fmt.Errorf("the machine read %d bytes instead of %d", len(d), ranges[i].Size)
		}
	}
	return data, nil
}

// Profile samples what a container's program executes, and hands each sample to handle: words as abi.ControlSamples has
// them. It returns how many samples were lost.
func (c *Client) Profile(ctx context.Context, name string, seconds, rate int, handle func(stack []uint64)) (lost uint64, err error) {
	answer, err := c.do(ctx, "POST", containerPath(name, fmt.Sprintf("/profile?seconds=%d&rate=%d", seconds, rate)), nil, 0, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return readSamples(answer.Body, handle)
}

// readSamples reads samples up to the last one.
func readSamples(r io.Reader, handle func([]uint64)) (lost uint64, err error) {
	b := bufio.NewReader(r)
	word := func() (v uint64) {
		var raw [8]byte
		if err == nil {
			_, err = io.ReadFull(b, raw[:])
		}
		return binary.LittleEndian.Uint64(raw[:])
	}
	for {
		n := word()
		switch {
		case err == nil && n == 0:
			lost = word()
			fallthrough
		case err != nil:
			if err != nil {
				err = fmt.Errorf("%w in the middle of a profile: %w", ErrCut, err)
			}
			return lost, err
		case n > maxStack:
			return 0, fmt.Errorf("the machine sent a sample of %d addresses", n)
		}
		stack := make([]uint64, n)
		for i := range stack {
			stack[i] = word()
		}
		if err == nil {
			handle(stack)
		}
	}
}
