package test

import "testing"

// promise is a number that SPECIFICATION.md promises.
type promise struct {
	what  string
	unit  string
	bound uint64 // never more
}

// spec are the promises that tests of this package hold, in counts: a slow computer changes none.
var spec = struct {
	startToMain, bootToRoot, exitsDedicated, nullCall, sharedCall, computeLoss, sharedLoss, runtimeLoss, idleMemory    promise
	echoExits, echoAllocations, echoPolling, echoPollingOne, echoWhole, echoWholeOne                                   promise
	socketUDP, socketUDPOne, socketTCP, socketTCPOne, socketHTTP, socketHTTPOne, bulkSend, bulkReceive, bulkSendGVisor promise
}{
	startToMain:     promise{"from a container's first instruction to main", "instructions", 1_000_000},
	bootToRoot:      promise{"from a machine image's first instruction to the root container's main", "instructions", 100_000_000},
	exitsDedicated:  promise{"further exits, of each kind, of a program that computes for longer on a core of its own", "exits", 4},
	nullCall:        promise{"a hypercall that does nothing, on a core of its own, besides the world switch", "instructions", 300},
	sharedCall:      promise{"a hypercall that does nothing, on a shared core, besides the world switch", "instructions", 500},
	computeLoss:     promise{"what computing in a container on a core of its own costs more than on the bare machine", "per mille", 10},
	sharedLoss:      promise{"what computing in a container on a shared core costs more than on the bare machine", "per mille", 50},
	runtimeLoss:     promise{"the same of work that leans on Go's collector and scheduler", "per mille", 100},
	idleMemory:      promise{"memory of a container with a program that sleeps, besides shared text", "bytes", 8 << 20},
	echoExits:       promise{"exits, of each kind, while thousands of datagrams are answered natively on a core of its own", "exits", 4},
	echoAllocations: promise{"allocations while thousands of datagrams are answered natively", "allocations", 16},
	echoPolling:     promise{"a datagram answered natively, polling, 32 outstanding", "instructions", 500},
	echoPollingOne:  promise{"the same, 1 outstanding", "instructions", 1000},
	echoWhole:       promise{"a datagram answered natively, with interrupts, 32 outstanding, everything that the machine does meanwhile included", "instructions", 1000},
	echoWholeOne:    promise{"the same, 1 outstanding: an interrupt for each datagram", "instructions", 20000},
	socketUDP:       promise{"a datagram answered by an unchanged program (net.ListenUDP), 32 outstanding, everything that the machine does meanwhile included", "instructions", 4000},
	socketUDPOne:    promise{"the same, 1 outstanding", "instructions", 10500},
	socketTCP:       promise{"64 bytes answered over TCP by an unchanged program (net.Listen), 32 connections", "instructions", 9500},
	socketTCPOne:    promise{"the same, 1 connection", "instructions", 14000},
	socketHTTP:      promise{"a page of an unchanged net/http server, 32 connections", "instructions", 55000},
	socketHTTPOne:   promise{"the same, 1 connection", "instructions", 58000},
	bulkSend:        promise{"a mebibyte that an unchanged program sends over one connection of TCP", "instructions", 1_700_000},
	bulkReceive:     promise{"a mebibyte that it receives", "instructions", 1_900_000},
	bulkSendGVisor:  promise{"a mebibyte that it sends through gVisor's stack (--stack gvisor)", "instructions", 5_000_000},
}

// hold fails the test when a count breaks the promise, and says in any case how it was kept.
func (p promise) hold(t testing.TB, whose string, got uint64) {
	t.Helper()
	if got > p.bound {
		t.Errorf("%s: %s: got %d %s, promised are %d at most", p.what, whose, got, p.unit, p.bound)
		return
	}
	t.Logf("%s: %s: %d %s, promised are %d at most", p.what, whose, got, p.unit, p.bound)
}
