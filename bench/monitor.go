package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

// counts is what a machine did, all processors together.
type counts struct {
	instructions uint64 // those that halt execute none
	raised       uint64 // interrupts of devices: here the network card's; one may be raised again before it is taken
	taken        uint64 // interrupts that processors took, those of timers and other processors included, NMIs not
}

// What QEMU traces to count interrupts: messages from devices to local APICs, and writes to their registers, of which those to EOI
// (0x0b) end an interrupt.
var (
	traced = []string{"apic_deliver_irq", "apic_register_write"}
	raised = []byte("apic_deliver_irq ")
	ended  = []byte("apic_register_write register 0x0b ")
)

// counted counts what the machine does during a call. It must be one that counts.
func (g *guest) counted(do func() error) (c counts, err error) {
	if err := g.tracing(true); err != nil {
		return c, err
	}
	before, err := g.read()
	if err == nil {
		err = do()
	}
	if err != nil {
		return c, err
	}
	after, err := g.read()
	if err != nil {
		return c, err
	}
	return counts{after.instructions - before.instructions, after.raised - before.raised, after.taken - before.taken}, g.tracing(false)
}

func (g *guest) read() (c counts, err error) {
	var answer struct{ Icount uint64 }
	if err := g.command("query-replay", nil, &answer); err != nil {
		return c, err
	}
	if answer.Icount == 0 {
		return c, fmt.Errorf("QEMU does not say how many instructions it executed")
	}
	log, err := os.ReadFile(g.trace())
	return counts{answer.Icount, uint64(bytes.Count(log, raised)), uint64(bytes.Count(log, ended))}, err
}

// tracing switches tracing on or off.
func (g *guest) tracing(on bool) error {
	for _, name := range traced {
		if err := g.command("trace-event-set-state", map[string]any{"name": name, "enable": on}, nil); err != nil {
			return err
		}
	}
	return nil
}

// command has QEMU's monitor execute a command (QEMU Machine Protocol Specification).
func (g *guest) command(name string, arguments, result any) error {
	c, err := net.Dial("unix", g.monitor())
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	answers := json.NewDecoder(bufio.NewReader(c))
	if err := answers.Decode(&struct{}{}); err != nil { // the greeting
		return err
	}
	requests := json.NewEncoder(c)
	type request struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}
	for _, r := range []request{{Execute: "qmp_capabilities"}, {name, arguments}} {
		if err := requests.Encode(r); err != nil {
			return err
		}
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
			Event  string
		}
		for answer.Return == nil {
			if err := answers.Decode(&answer); err != nil {
				return err
			}
			if answer.Error != nil {
				return fmt.Errorf("QEMU: %s: %s", r.Execute, answer.Error.Desc)
			}
		}
		if r.Execute == name && result != nil {
			return json.Unmarshal(answer.Return, result)
		}
	}
	return nil
}
