package svm

// Bits that a container does not see: what it may not use, and what would need state that is not switched.
const (
	hide1C     = 1<<3 | 1<<5 | 1<<24                                                          // MONITOR, VMX, TSC-deadline
	hide1D     = 1<<7 | 1<<14 | 1<<22                                                         // MCE, MCA, ACPI thermal
	hide7B     = 1<<2 | 1<<14 | 1<<16 | 1<<17 | 1<<21 | 1<<26 | 1<<27 | 1<<28 | 1<<30 | 1<<31 // SGX, MPX, AVX-512
	keep7C     = 1<<2 | 1<<8 | 1<<9 | 1<<10                                                   // UMIP, GFNI, VAES, VPCLMULQDQ
	hideExt1C  = 1<<2 | 1<<3 | 1<<10 | 1<<12 | 1<<13 | 1<<15 | 1<<23 | 1<<24 | 1<<29          // SVM, ExtApic, IBS, SKINIT, WDT, LWP, perf, MONITORX
	hideExt1D  = 1 << 27                                                                      // RDTSCP: TSC_AUX is not switched
	hypervisor = 1 << 31
)

// Filter answers CPUID for vCPU index: the host's answer without what a container does not have.
func Filter(host CPUID, leaf, sub, index uint32) [4]uint32 {
	if leaf>>28 == 4 {
		return hypervisorLeaf(leaf)
	}
	a, b, c, d := host(leaf, sub)
	switch leaf {
	case 1:
		b = b&0x0000_ff00 | index<<24 | 1<<16
		c = c&^hide1C | hypervisor
		d &^= hide1D
	case 5, 6, 0xa, 0x12, 0x14:
		a, b, c, d = 0, 0, 0, 0
	case 7:
		if sub != 0 {
			return [4]uint32{}
		}
		a, b, c, d = 0, b&^hide7B, c&keep7C, d&(1<<4)
	case 0xb, 0x1f:
		a, b, c, d = 0, 1, c&0xff, index
	case 0xd:
		return xsaveLeaf(host, sub)
	case 0x8000_0001:
		c &^= hideExt1C
		d &^= hideExt1D
	case 0x8000_000a, 0x8000_001f, 0x8000_001b, 0x8000_001e:
		a, b, c, d = 0, 0, 0, 0
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
