package test

// promise is a number that SPECIFICATION.md promises.
type promise struct {
	what  string
	unit  string
	bound int64 // never more
}

// spec are the promises that tests of this package hold, in counts: a slow computer changes none.
var spec = struct {
	startToMain, exitsDedicated, nullCall, computeLoss, idleMemory promise
}{
	startToMain:    promise{"a container's start, from the first instruction to main", "instructions", 1_000_000},
	exitsDedicated: promise{"further exits, of each kind, of a program that computes for longer on a core of its own", "exits", 1},
	nullCall:       promise{"a hypercall that does nothing, besides the world switch", "instructions", 300},
	computeLoss:    promise{"what computing in a container costs more than on the bare machine", "per 10 000", 100},
	idleMemory:     promise{"memory of a container with a program that sleeps, besides shared text", "bytes", 8 << 20},
}
