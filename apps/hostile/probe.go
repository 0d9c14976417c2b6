package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"syscall"
)

// A program on nom runs in ring 0 of its virtual machine, so it can take the processor away from the platform. Probe does:
// it installs an interrupt table of its own, runs a few bytes of machine code, and gives everything back. That way an
// instruction that faults is a result and not the end of the program.

// noFault is the vector of code that ran to its end.
const noFault = 0xff

// registers are what machine code starts with, and what it leaves in RAX and RDX.
type registers struct{ RAX, RCX, RDX, RBX, RSI, RDI uint64 }

const (
	stubsAt  = 0x000 // one for each exception, stubSize apart
	codeAt   = 0x800
	stubSize = 32
	codeSize = 4096
)

// prober owns the memory that machine code runs in. One probe runs at a time on the whole machine.
type prober struct {
	sync.Mutex
	code []byte // executable
	now  []byte // what was run last
}

// newProber prepares an executable page with the stubs, and the interrupt table.
func newProber() (*prober, error) {
	code, err := syscall.Mmap(-1, 0, codeSize, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for machine code: %w", err)
	}
	p := &prober{code: code}
	touchProbeStack()
	for v := range uint64(32) {
		stub := code[stubsAt+v*stubSize:]
		stub[0] = 0xb8 // mov eax, vector
		binary.LittleEndian.PutUint32(stub[1:], uint32(v))
		stub[5], stub[6] = 0x49, 0xbb // mov r11, probeResume
		binary.LittleEndian.PutUint64(stub[7:], probeResumeAddress())
		stub[15], stub[16], stub[17] = 0x41, 0xff, 0xe3 // jmp r11
		setGate(int(v), addressOf(stub))
	}
	return p, nil
}

// gates is the interrupt table: two words a gate. It and the other variables of the probe lie in the program's data.
var gates [64]uint64

// setGate makes a 64-bit interrupt gate (AMD64 APM vol. 2, section 4.8.4) to an address in the platform's code segment.
func setGate(vector int, to uint64) {
	const present, interrupt, codeSegment = 1 << 47, 0xe << 40, 8 << 16
	gates[2*vector] = to&0xffff | codeSegment | interrupt | present | to>>16&0xffff<<48
	gates[2*vector+1] = to >> 32
}

// run executes code, which must not need more than 4 KiB of stack, with interrupts off. It returns the vector of the
// exception that ended it, or noFault.
func (p *prober) run(code []byte, r *registers) uint64 {
	p.Lock()
	defer p.Unlock()
	at := p.code[codeAt:]
	if !slices.Equal(code, p.now) { // writing code that was just run costs an emulator much
		n := copy(at[:len(at)-1], code)
		at[n] = 0xc3 // ret
		for i := n + 1; i < len(at); i++ {
			at[i] = 0xcc // int3: nothing runs away
		}
		p.now = slices.Clone(code)
	}
	touchProbeStack()
	return probeCall(addressOf(at), r)
}

// bytes is machine code written as text.
func bytes(hex string) []byte {
	var b []byte
	for i := 0; i+1 < len(hex); i += 2 {
		var v byte
		fmt.Sscanf(hex[i:i+2], "%02x", &v)
		b = append(b, v)
	}
	return b
}
