package main

import (
	"sync"

	"nom.dev/nom/metal"
)

// Serial ports, as the data sheet of the 16550 UART has them (National Semiconductor, PC16550D, section 8).
const (
	com1 = 0x3f8 // the console that people read
	com2 = 0x2f8 // events for the nom command

	regTHR = 0 // transmitter holding
	regDLL = 0 // divisor, while LCR has DLAB
	regIER = 1
	regDLM = 1
	regFCR = 2
	regLCR = 3
	regMCR = 4
	regLSR = 5

	lcr8N1   = 0x03
	lcrDLAB  = 0x80
	fcrReset = 0x07 // enable and clear both FIFOs
	mcrReady = 0x03 // DTR, RTS
	lsrTHRE  = 0x20 // the FIFO is empty: fifoSize bytes fit
	fifoSize = 16

	// patience is how often the line status is read before a byte is given up: a port that is stuck, or not there, must
	// not stop the machine.
	patience = 1 << 22
)

// ports is what a UART needs of the machine; tests have their own.
type ports interface {
	in(port uint16) uint8
	out(port uint16, value uint8)
}

type realPorts struct{}

func (realPorts) in(port uint16) uint8         { return metal.Inb(port) }
func (realPorts) out(port uint16, value uint8) { metal.Outb(port, value) }

// uart is a serial port for writing.
type uart struct {
	mu    sync.Mutex
	io    ports
	base  uint16
	stuck bool
}

// newUART sets a port to 115200 baud, 8N1.
func newUART(io ports, base uint16) *uart {
	io.out(base+regIER, 0)
	io.out(base+regLCR, lcrDLAB)
	io.out(base+regDLL, 1)
	io.out(base+regDLM, 0)
	io.out(base+regLCR, lcr8N1)
	io.out(base+regFCR, fcrReset)
	io.out(base+regMCR, mcrReady)
	return &uart{io: io, base: base}
}

// Write sends b whole before anybody else's. It never fails: what a stuck port does not take is lost.
func (u *uart) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for sent := 0; sent < len(b); {
		if !u.ready() {
			break
		}
		for range min(fifoSize, len(b)-sent) {
			u.io.out(u.base+regTHR, b[sent])
			sent++
		}
	}
	return len(b), nil
}

// ready waits until the FIFO is empty. A port that was stuck once gets no second wait.
func (u *uart) ready() bool {
	tries := patience
	if u.stuck {
		tries = 1
	}
	for range tries {
		if u.io.in(u.base+regLSR)&lsrTHRE != 0 {
			u.stuck = false
			return true
		}
	}
	u.stuck = true
	return false
}
