package main

// probeCall calls code with the registers and interrupts off, under the table gates.
//
//go:noescape
func probeCall(code uint64, r *registers) (vector uint64)

// probeResumeAddress is where the stubs of the exceptions go.
func probeResumeAddress() uint64

// What probeCall needs while it has no stack of its own.
var (
	probeStack [8192]byte
	probeSaved struct {
		sp, fs, regs uint64
		flags        uint64
	}
	probeOld [2]uint64 // IDTR: limit in the upper 16 bits of the first word, base in the second
	//lint:ignore U1000 probe_amd64.s reads it
	probeNew [2]uint64
)

// touchProbeStack makes sure that no page of the probe's data is missing when there is nobody to bring it.
func touchProbeStack() {
	for i := 0; i < len(probeStack); i += 512 {
		probeStack[i] = 1
	}
	probeSaved.sp, probeOld[0] = 0, 0
	probeNew = [2]uint64{uint64(len(gates)*8-1) << 48, addressOfGates()}
}

// readCR3 is the physical address of the page tables.
func readCR3() uint64

// writeCR3 installs page tables.
func writeCR3(v uint64)

// invlpg forgets the translation of one address.
func invlpg(address uint64)

// wrmsrOff writes a model-specific register with interrupts off, and leaves them off.
func wrmsrOff(msr uint32, value uint64)

// vmmcall issues a hypercall with everything as it is given.
func vmmcall(nr, a, b, c, d, e, f uint64) uint64

// spinOff spins for ever with interrupts off, haltOff halts for ever.
func spinOff()
func haltOff()

// tripleFault leaves the processor without an interrupt table and raises an exception.
func tripleFault()

// cli switches interrupts off for good.
func cli()
