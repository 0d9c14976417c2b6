package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// What a program prints: on a bare machine it goes to the first serial port, in a container into the ring that the parent
// lent, and where there is no ring (the root container) to the nonkernel's console.

var consoleLock spinLock

const (
	uartData = 0x3f8
	uartLSR  = 0x3fd
	lsrTHRE  = 0x20
)

func putByte(b byte) {
	for inb(uartLSR)&lsrTHRE == 0 {
		pause()
	}
	outb(uartData, uint64(b))
}

// writeConsole answers write and writev on standard output and error. kernelLock is not held.
func writeConsole(n, fd, p, count uint64) uint64 {
	if n == sysWrite {
		return consoleBytes(descriptors[fd].index, p, count)
	}
	total := uint64(0)
	for i := uint64(0); i < count; i++ {
		total += consoleBytes(descriptors[fd].index, load64(p+i*16), load64(p+i*16+8))
	}
	return total
}

func consoleBytes(stream, p, n uint64) uint64 {
	switch {
	case host:
		consoleLock.lock()
		for _, b := range bytesAt(p, n) {
			putByte(b)
		}
		consoleLock.unlock()
	case bootPage.Console != 0:
		ringWrite(stream-1, p, n)
	default:
		debugWrite(p, n)
	}
	return n
}

// debugWrite hands bytes to the nonkernel's console through a bounce buffer, whose physical address is known.
func debugWrite(p, n uint64) {
	consoleLock.lock()
	for n > 0 {
		k := min(n, abi.DebugWriteMax)
		copy(bytesAt(direct(debugBuffer), k), bytesAt(p, k))
		vmmcall(uint64(abi.CallDebugWrite), debugBuffer, k, 0, 0, 0, 0)
		p += k
		n -= k
	}
	consoleLock.unlock()
}

// debugBuffer is the physical address of a page for debugWrite, set by boot.
var debugBuffer uint64

// ringWrite copies to the parent's ring and waits for room when it is full: no output is lost.
func ringWrite(stream, p, n uint64) {
	for n > 0 {
		k := ringPut(stream, p, n)
		p += k
		n -= k
		if n > 0 {
			waitForRoom()
		}
	}
}

// ringPut copies what fits and says how much that was.
func ringPut(stream, p, n uint64) uint64 {
	r := at[abi.ConsoleRing](direct(bootPage.Console))
	s := &r.Stream[stream&1]
	data := &r.Data[stream&1]
	consoleLock.lock()
	head, tail := s.Head, atomic.LoadUint32(&s.Tail)
	room := uint64(abi.ConsoleData - min(head-tail, abi.ConsoleData))
	k := min(room, n)
	for i := uint64(0); i < k; i++ {
		data[(uint64(head)+i)%abi.ConsoleData] = *at[byte](p + i)
	}
	atomic.StoreUint32(&s.Head, head+uint32(k))
	consoleLock.unlock()
	if k != 0 && atomic.SwapUint32(&s.Wait, 0) != 0 {
		vmmcall(uint64(abi.CallNotify), 0, abi.ConsoleBit, 0, 0, 0, 0)
	}
	return k
}

// waitForRoom lets other threads of the program run for a moment.
func waitForRoom() {
	kernelLock.lock()
	block(waitNone, 0, nanotime()+500_000)
	leave()
}

// print0 prints a string of the platform's own on standard error's path.
func print0(s string) {
	for i := range len(s) {
		printByte(s[i])
	}
	flushPrint()
}

var printBuffer struct {
	b [200]byte
	n uint64
}

func printByte(c byte) {
	printBuffer.b[printBuffer.n] = c
	printBuffer.n++
	if c == '\n' || printBuffer.n == uint64(len(printBuffer.b)) {
		flushPrint()
	}
}

func flushPrint() {
	n := printBuffer.n
	printBuffer.n = 0
	p := addressOf(&printBuffer.b)
	switch {
	case host || bootPage == nil:
		for _, b := range printBuffer.b[:n] {
			putByte(b)
		}
	case bootPage.Console == 0:
		debugWrite(p, n)
	default:
		ringPut(1, p, n) // what does not fit is lost: who prints may hold kernelLock, and nobody may be there to make room
		if dying {
			debugWrite(p, n)
		}
	}
}

func printHex(v uint64) {
	shift := 60
	for shift > 0 && v>>shift == 0 {
		shift -= 4
	}
	printByte('0')
	printByte('x')
	for ; shift >= 0; shift -= 4 {
		printByte(hexDigits[v>>shift&15])
	}
}

func printDecimal(v uint64) {
	var b [20]byte
	for _, c := range b[decimal(&b, v):] {
		printByte(c)
	}
}
