package main

import "fmt"

// instruction is one that belongs to the owner of the machine, or to nobody.
type instruction struct {
	name string
	code string // machine code in hex
	regs registers
}

// somewhere is an address in the middle of any container's memory.
const somewhere = 0x20_0000

var instructions = []instruction{
	// AMD's virtual machines, APM vol. 3
	{"VMRUN", "0f01d8", registers{RAX: somewhere}}, {"VMLOAD", "0f01da", registers{RAX: somewhere}}, {"VMSAVE", "0f01db", registers{RAX: somewhere}},
	{"VMRUN beyond memory", "0f01d8", registers{RAX: 1 << 45}}, {"VMSAVE beyond memory", "0f01db", registers{RAX: 1 << 45}},
	{"STGI", "0f01dc", registers{}}, {"CLGI", "0f01dd", registers{}}, {"SKINIT", "0f01de", registers{RAX: somewhere}},
	{"INVLPGA", "0f01df", registers{RAX: somewhere, RCX: 1}}, {"INVLPGB", "0f01fe", registers{}}, {"TLBSYNC", "0f01ff", registers{}},
	{"PSMASH", "f30f01ff", registers{}}, {"PVALIDATE", "f20f01ff", registers{}}, {"VMGEXIT", "f30f01d9", registers{}},
	// Intel's
	{"VMCALL", "0f01c1", registers{}}, {"VMXOFF", "0f01c4", registers{}}, {"GETSEC", "0f37", registers{}}, {"ENCLS", "0f01cf", registers{}},
	// the whole machine's
	{"RSM", "0faa", registers{}}, {"INVD", "0f08", registers{}}, {"WBINVD", "0f09", registers{}}, {"WBNOINVD", "f30f09", registers{}},
	{"MONITOR", "0f01c8", registers{RAX: somewhere}}, {"MWAIT", "0f01c9", registers{}}, {"MONITORX", "0f01fa", registers{}}, {"MWAITX", "0f01fb", registers{}},
	{"MCOMMIT", "f30f01fa", registers{}}, {"RDPRU", "0f01fd", registers{RCX: 0}}, {"RDPMC", "0f33", registers{}}, {"RDTSCP", "0f01f9", registers{}},
	{"XSETBV 0", "0f01d1", registers{}}, {"XSETBV all", "0f01d1", registers{RAX: ^uint64(0), RDX: ^uint64(0)}}, {"XSETBV 5", "0f01d1", registers{RCX: 5, RAX: 7}},
	{"CPUID with a prefix", "660fa2", registers{}}, {"CPUID endless leaf", "0fa2", registers{RAX: 0xffff_ffff, RCX: 0xffff_ffff}},
	// control and debug registers
	{"CR0 without caches", "0f20c0" + "480fbae81e" + "0f22c0" + "480fbaf01e" + "0f22c0", registers{}},
	{"CR0 without protection", "0f20c0" + "24fe" + "0f22c0", registers{}}, {"CR0 x87 by interrupt", "0f20c0" + "480fbaf005" + "0f22c0", registers{}},
	{"CR0 32 bits more", "0f22c0", registers{RAX: 0xffff_ffff_8001_0033}}, {"LMSW everything", "0f01f0", registers{RAX: 0xffff}},
	{"CR8 read", "440f20c0", registers{}}, {"CR8 write", "440f22c0", registers{}}, {"CR8 all ones", "440f22c0", registers{RAX: ^uint64(0)}},
	{"CR8 by LOCK", "f00f22c0", registers{RAX: 15}}, {"CR2", "0f22d0", registers{RAX: ^uint64(0)}}, {"CR5", "0f22e8", registers{}},
	{"DR0 read", "0f21c0", registers{}}, {"DR0 write", "0f23c0", registers{RAX: somewhere}}, {"DR7 write", "0f23f8", registers{RAX: 0x400}},
	{"DR7 all ones", "0f23f8", registers{RAX: ^uint64(0)}}, {"CLTS", "0f06", registers{}}, {"LMSW", "0f01f0", registers{RAX: 0x33}},
	// tables, tasks, exceptions
	{"LTR garbage", "0f00d8", registers{RAX: 0xfff8}}, {"LLDT garbage", "0f00d0", registers{RAX: 0xfff8}},
	{"SWAPGS twice", "0f01f8" + "0f01f8", registers{}}, {"INT 0x80", "cd80", registers{}}, {"INT3", "cc", registers{}}, {"INT 2", "cd02", registers{}},
	{"INT 18", "cd12", registers{}}, {"ICEBP", "f1", registers{}}, {"UD2", "0f0b", registers{}}, {"SYSENTER", "0f34", registers{}},
	{"single step", "9c" + "480fba2c2408" + "9d" + "90", registers{}}, {"IRET to nowhere", "6a00" + "6a00" + "6a00" + "6a00" + "6a00" + "48cf", registers{}},
	{"far return to nowhere", "6a18" + "6a00" + "48cb", registers{}}, {"divide by zero", "48f7f1", registers{}},
	// ports in bulk
	{"INSB", "6c", registers{RDX: 0x3f8}}, {"OUTSB", "6e", registers{RDX: 0x3f8}}, {"REP OUTSD", "f36f", registers{RDX: 0xcf8, RCX: 1 << 40}},
}

// tryInstructions runs each of them. Whatever it does, the program is still there afterwards.
func tryInstructions() error {
	p, err := newProber()
	if err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	for _, in := range instructions {
		r := in.regs
		r.RSI, r.RDI = addressOf(buffer), addressOf(buffer)
		switch vector := p.run(bytes(in.code), &r); vector {
		case noFault:
			fmt.Printf("%s: nothing happened\n", in.name)
		default:
			fmt.Printf("%s: exception %d\n", in.name, vector)
		}
	}
	return nil
}

// breakMode runs code that a processor refuses with an exception, and with which an emulator may let a program harm itself:
// it leaves the mode that all code here is for, or one in which a virtual machine can be entered.
func breakMode(code string) func() error {
	return func() error {
		p, err := newProber()
		if err != nil {
			return err
		}
		if vector := p.run(bytes(code), &registers{RAX: ^uint64(0)}); vector != noFault {
			fmt.Printf("exception %d\n", vector)
			return nil
		}
		exit(0) // the platform may not be able to any more
		return nil
	}
}

const (
	pagingOff = "0f20c0" + "480fbaf01f" + "0f22c0"
	paeOff    = "0f20e0" + "480fbaf005" + "0f22e0"
	cr0Ones   = "0f22c0"
	cr4Ones   = "0f22e0"
	ltrNull   = "31c0" + "0f00d8"
	vmxOn     = "0f20e0" + "480fbae80d" + "0f22e0"
)
