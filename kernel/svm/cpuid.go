package svm

// Bits that a container sees or does not see. Hidden is what it may not use: instructions that are intercepted, registers that
// raise #GP, and what would need state that is not switched. Features by leaf and register; APM vol. 3, appendix E.
const (
	// MONITOR, VMX, TSC-deadline
	hide1C = 1<<3 | 1<<5 | 1<<24
	// MCE, MTRR, MCA, ACPI thermal
	hide1D = 1<<7 | 1<<12 | 1<<14 | 1<<22
	// TSC_ADJUST, SGX, PQM, MPX, PQE, processor trace; AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL
	hide7B = 1<<1 | 1<<2 | 1<<12 | 1<<14 | 1<<15 | 1<<25 |
		1<<16 | 1<<17 | 1<<21 | 1<<26 | 1<<27 | 1<<28 | 1<<30 | 1<<31
	// UMIP, GFNI, VAES, VPCLMULQDQ
	keep7C = 1<<2 | 1<<8 | 1<<9 | 1<<10
	// FSRM
	keep7D = 1 << 4
	// SVM, extended APIC, OSVW, IBS, SKINIT, WDT, LWP, TCE, performance counters of core, northbridge and L3, DBEXT, PTSC,
	// MONITORX, address mask
	hideExt1C = 1<<2 | 1<<3 | 1<<9 | 1<<10 | 1<<12 | 1<<13 | 1<<15 | 1<<17 | 1<<23 | 1<<24 | 1<<28 | 1<<26 | 1<<27 |
		1<<29 | 1<<30
	// MCE, MTRR, MCA once more; FFXSR; RDTSCP, as TSC_AUX is not switched
	hideExt1D = 1<<7 | 1<<12 | 1<<14 | 1<<25 | 1<<27
	// invariant TSC
	keepExt7D = 1 << 8
	// CLZERO, error pointers of XSAVE
	keepExt8B = 1<<0 | 1<<2

	hypervisor = 1 << 31
	osxsave    = 1 << 27 // in leaf 1 ECX: what the guest itself set in CR4
)

// CPUID executes the instruction on the host.
type CPUID func(leaf, sub uint32) (a, b, c, d uint32)

// Filter answers CPUID for vCPU index: of the host's answer, what a container has too. Leaves that are not named here, as those that
// later processors bring, are empty.
func Filter(host CPUID, leaf, sub, index uint32) [4]uint32 {
	if leaf>>28 == 4 {
		return hypervisorLeaf(leaf)
	}
	a, b, c, d := host(leaf, sub)
	switch leaf {
	case 0, 0x15, 0x16: // vendor; clocks
	case 0x8000_0000, 0x8000_0002, 0x8000_0003, 0x8000_0004, 0x8000_0005, 0x8000_0006, 0x8000_0019, 0x8000_001d: // name; caches
	case 1:
		b = b&0x0000_ff00 | index<<24 | 1<<16
		c = c&^(hide1C|osxsave) | hypervisor
		d &^= hide1D
	case 7:
		if sub != 0 {
			return [4]uint32{}
		}
		a, b, c, d = 0, b&^hide7B, c&keep7C, d&keep7D
	case 0xb, 0x1f:
		a, b, c, d = 0, 1, sub&0xff, index
	case 0xd:
		return xsaveLeaf(host, sub)
	case 0x8000_0001:
		c &^= hideExt1C
		d &^= hideExt1D
	case 0x8000_0007:
		a, b, c, d = 0, 0, 0, d&keepExt7D
	case 0x8000_0008:
		b, c, d = b&keepExt8B, 0, 0 // widths of addresses; not how many cores the machine has
	default:
		return [4]uint32{}
	}
	return [4]uint32{a, b, c, d}
}

// hypervisorLeaf names nom.
func hypervisorLeaf(leaf uint32) [4]uint32 {
	if leaf != 0x4000_0000 {
		return [4]uint32{}
	}
	const nom1, nom2, nom3 = 0x6e6d_6f6e, 0x6f6e_6d6f, 0x6d6f_6e6d // "nomnomnomnom"
	return [4]uint32{leaf, nom1, nom2, nom3}
}

// xsaveLeaf describes the XSAVE area of XCR0 only.
func xsaveLeaf(host CPUID, sub uint32) [4]uint32 {
	const legacyAndHeader, avx = 576, 256
	switch sub {
	case 0:
		return [4]uint32{XCR0, legacyAndHeader + avx, legacyAndHeader + avx, 0}
	case 1:
		a, _, _, _ := host(0xd, 1)
		return [4]uint32{a & (1<<0 | 1<<2), 0, 0, 0} // XSAVEOPT, XGETBV with ECX 1
	case 2:
		return [4]uint32{avx, legacyAndHeader, 0, 0}
	}
	return [4]uint32{}
}
