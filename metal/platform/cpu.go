package main

// Instructions, in cpu_amd64.s and vmrun_amd64.s.

func outb(port, v uint64)
func outw(port, v uint64)
func outl(port, v uint64)
func inb(port uint64) uint64
func inl(port uint64) uint64
func rdmsr(n uint64) uint64
func wrmsr(n, v uint64)
func rdtsc() uint64
func setCR3(v uint64)
func getCR2() uint64
func getCR4() uint64
func setCR4(v uint64)
func setXCR0(v uint64)
func invlpg(v uint64)
func halt()

// rdrand is a random number, or 0 when the source has run dry.
func rdrand() uint64
func pause()
func thisCPU() uint64
func loadTables(gdtr, idtr, tss uint64)
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func vmmcall(n, a1, a2, a3, a4, a5, a6 uint64) uint64
func clgi()
func stgi()

// vmrun switches to the guest and back: see vmrun_amd64.s.
func vmrun(vmcb, hostVMCB, gprs, fpu uint64)

// nanotime is the monotonic clock in nanoseconds since the platform started; the same formula as vdsoClock.
func nanotime() uint64

// labels returns the addresses of assembly entry points.
func labels() (syscall, stubs, thread, idle, clock, entry uint64)

func switchStack(save *uint64, to uint64)
func startThread(sp uint64)

// Entry points that assembly calls through a func variable: a direct CALL would reach the ABI0 wrapper, which would
// reload g before it is set.
var (
	bootFn        = boot
	apBootFn      = apBoot
	syscallFn     = syscallEnter
	trapFn        = trap
	threadStartFn = threadEnter
)

var hostMXCSR uint32 = 0x1f80

var (
	bootStack [32768]byte
	fakeg     [512]byte // a g with stackguard0 = 0: no prologue ever asks for more stack
	kernelTLS [2]uint64 // [0] = &fakeg; FS base is &kernelTLS[1]
)

const (
	msrEFER    = 0xc000_0080
	msrSTAR    = 0xc000_0081
	msrLSTAR   = 0xc000_0082
	msrSFMASK  = 0xc000_0084
	msrFSBase  = 0xc000_0100
	msrGSBase  = 0xc000_0101
	msrHSAVE   = 0xc001_0117
	eferSCE    = 1 << 0
	eferNXE    = 1 << 11
	eferSVME   = 1 << 12
	cr4FSGS    = 1 << 16
	cr4OSXSAVE = 1 << 18
	xcr0       = 7 // x87, SSE, AVX: hides AVX-512 from Go, so that XSAVE areas are 832 bytes
	flagIF     = 1 << 9
	flagDF     = 1 << 10
)

// xsaveSize is the room for an XSAVE area of xcr0 at every use, 64-byte aligned.
const xsaveSize = 1088

// features the platform cannot run without, named as the manuals do.
type feature struct {
	leaf uint32
	reg  int // 1 = EBX, 2 = ECX, 3 = EDX
	bit  uint32
	name string
}

var needed = [...]feature{
	{1, 2, 21, "x2APIC"},
	{1, 2, 26, "XSAVE"},
	{1, 2, 28, "AVX"},
	{7, 1, 0, "FSGSBASE"},
	{0x8000_0001, 3, 11, "SYSCALL"},
	{0x8000_0001, 3, 20, "NX"},
}

// hasRDRAND: the processor has a source of random numbers (CPUID.1:ECX bit 30).
var hasRDRAND bool

// checkCPU stops the machine with one clear line when the CPU lacks something.
func checkCPU() {
	ok := true
	for i := range needed {
		f := &needed[i]
		var r [4]uint32
		r[0], r[1], r[2], r[3] = cpuid(f.leaf, 0)
		if r[f.reg]>>f.bit&1 != 0 {
			continue
		}
		if ok {
			print0("nom: this CPU lacks")
		}
		ok = false
		print0(" ")
		print0(f.name)
	}
	if !ok {
		print0("; nom needs it (in QEMU: -cpu EPYC,+svm,+npt,+x2apic)\n")
		stop(126)
	}
}

// enableCPU turns on what every CPU of the platform uses, after checkCPU.
func enableCPU() {
	setCR4(getCR4() | cr4FSGS | cr4OSXSAVE)
	setXCR0(xcr0)
	_, _, ecx, _ := cpuid(1, 0)
	hasRDRAND = ecx>>30&1 != 0
	syscallLabel, _, _, _, _, _ := labels()
	wrmsr(msrEFER, rdmsr(msrEFER)|eferSCE|eferNXE)
	wrmsr(msrSTAR, selCode<<32)
	wrmsr(msrLSTAR, syscallLabel)
	wrmsr(msrSFMASK, 0x40000|flagIF|flagDF|1<<8) // AC IF DF TF
}
