// Package cpu holds the x86-64 processor as the manuals define it: CPUID leaves, model-specific registers, control register
// bits, page table entries, and the descriptors of the GDT, the TSS and the IDT.
//
// It follows the AMD64 Architecture Programmer's Manual (APM) volumes 2 and 3 and, where Intel differs or came first, the
// Intel SDM. The package runs without a Go runtime: plain functions on integers and fixed arrays. Names of features, for
// reports, are in names.go. It never executes an instruction that needs ring 0.
package cpu

// Leaf is what CPUID returns.
type Leaf struct{ EAX, EBX, ECX, EDX uint32 }

// Query executes CPUID, or plays back a recording of it. It must be a plain function where there is no Go runtime.
type Query func(leaf, subleaf uint32) Leaf

// Feature is one bit of a Features set.
type Feature uint64

// Features is a set of Feature bits.
type Features uint64

// Has says whether all the given features are there.
func (f Features) Has(want Feature) bool { return uint64(f)&uint64(want) == uint64(want) }

// Missing is what f lacks of want.
func (f Features) Missing(want Feature) Feature { return want &^ Feature(f) }

// Features that the system asks for or makes use of.
const (
	FeatureTSC          Feature = 1 << iota // CPUID 1 EDX 4
	FeatureAPIC                             // 1 EDX 9
	FeaturePAT                              // 1 EDX 16
	FeatureFXSR                             // 1 EDX 24
	FeatureSSE2                             // 1 EDX 26
	FeatureX2APIC                           // 1 ECX 21
	FeatureTSCDeadline                      // 1 ECX 24
	FeatureXSAVE                            // 1 ECX 26
	FeatureAVX                              // 1 ECX 28
	FeatureRDRAND                           // 1 ECX 30
	FeaturePCID                             // 1 ECX 17
	FeatureMONITOR                          // 1 ECX 3
	FeatureHypervisor                       // 1 ECX 31: runs in a virtual machine
	FeatureFSGSBASE                         // 7.0 EBX 0
	FeatureSMEP                             // 7.0 EBX 7
	FeatureINVPCID                          // 7.0 EBX 10
	FeatureAVX512F                          // 7.0 EBX 16
	FeatureRDSEED                           // 7.0 EBX 18
	FeatureSMAP                             // 7.0 EBX 20
	FeatureUMIP                             // 7.0 ECX 2
	FeaturePKU                              // 7.0 ECX 3
	FeatureLA57                             // 7.0 ECX 16
	FeatureRDPID                            // 7.0 ECX 22
	FeatureFSRM                             // 7.0 EDX 4: fast short REP MOVSB
	FeatureXSAVEOPT                         // D.1 EAX 0
	FeatureXSAVEC                           // D.1 EAX 1
	FeatureXSAVES                           // D.1 EAX 3
	FeatureARAT                             // 6 EAX 2: the APIC timer runs in every sleep state
	FeatureSVM                              // 8000_0001 ECX 2
	FeatureSYSCALL                          // 8000_0001 EDX 11
	FeatureNX                               // 8000_0001 EDX 20
	FeaturePage1G                           // 8000_0001 EDX 26
	FeatureRDTSCP                           // 8000_0001 EDX 27
	FeatureLM                               // 8000_0001 EDX 29
	FeatureTopoExt                          // 8000_0001 ECX 22
	FeatureInvariantTSC                     // 8000_0007 EDX 8
	FeatureINVLPGB                          // 8000_0008 EBX 3
	FeatureNPT                              // 8000_000A EDX 0
	FeatureFlushByASID                      // 8000_000A EDX 6
	FeatureNRIPS                            // 8000_000A EDX 3
	FeatureVMX                              // 1 ECX 5
	numFeatures         = iota
)

// where says which bit of which register of which leaf a feature is. The order is that of the constants above.
var where = [numFeatures]struct {
	leaf, subleaf uint32
	register, bit uint8
}{
	{1, 0, edx, 4}, {1, 0, edx, 9}, {1, 0, edx, 16}, {1, 0, edx, 24}, {1, 0, edx, 26},
	{1, 0, ecx, 21}, {1, 0, ecx, 24}, {1, 0, ecx, 26}, {1, 0, ecx, 28}, {1, 0, ecx, 30}, {1, 0, ecx, 17}, {1, 0, ecx, 3}, {1, 0, ecx, 31},
	{7, 0, ebx, 0}, {7, 0, ebx, 7}, {7, 0, ebx, 10}, {7, 0, ebx, 16}, {7, 0, ebx, 18}, {7, 0, ebx, 20},
	{7, 0, ecx, 2}, {7, 0, ecx, 3}, {7, 0, ecx, 16}, {7, 0, ecx, 22}, {7, 0, edx, 4},
	{0xd, 1, eax, 0}, {0xd, 1, eax, 1}, {0xd, 1, eax, 3}, {6, 0, eax, 2},
	{ext1, 0, ecx, 2}, {ext1, 0, edx, 11}, {ext1, 0, edx, 20}, {ext1, 0, edx, 26}, {ext1, 0, edx, 27}, {ext1, 0, edx, 29}, {ext1, 0, ecx, 22},
	{0x8000_0007, 0, edx, 8}, {0x8000_0008, 0, ebx, 3},
	{LeafSVM, 0, edx, 0}, {LeafSVM, 0, edx, 6}, {LeafSVM, 0, edx, 3}, {1, 0, ecx, 5},
}

const (
	eax = iota
	ebx
	ecx
	edx
)

const ext1 = 0x8000_0001

// Leaves that code outside this package names. APM vol. 3, appendix E.
const (
	LeafVendor     = 0
	LeafFeatures   = 1
	LeafStructured = 7
	LeafTopology   = 0xb
	LeafXSAVE      = 0xd
	LeafTSC        = 0x15
	LeafHypervisor = 0x4000_0000
	LeafHVTiming   = 0x4000_0010
	LeafExtended   = 0x8000_0000
	LeafSVM        = 0x8000_000a
)

// Vendor is the 12 bytes that leaf 0 returns.
type Vendor [12]byte

// Vendors. TCG is what QEMU's emulator says in the hypervisor leaf, KVM what Linux says.
var (
	AMD   = Vendor{'A', 'u', 't', 'h', 'e', 'n', 't', 'i', 'c', 'A', 'M', 'D'}
	Intel = Vendor{'G', 'e', 'n', 'u', 'i', 'n', 'e', 'I', 'n', 't', 'e', 'l'}
	TCG   = Vendor{'T', 'C', 'G', 'T', 'C', 'G', 'T', 'C', 'G', 'T', 'C', 'G'}
	KVM   = Vendor{'K', 'V', 'M', 'K', 'V', 'M', 'K', 'V', 'M'}
)

// Info is what Identify learns about a processor.
type Info struct {
	Vendor      Vendor
	Hypervisor  Vendor // zero on a bare machine
	Features    Features
	MaxLeaf     uint32
	MaxExtended uint32
	APICID      uint32 // the 32-bit id when there is one, else the 8-bit one
	Family      uint32 // with the extended family added
	Model       uint32 // with the extended model
	Stepping    uint32
	PhysBits    uint32 // width of physical addresses
	VirtBits    uint32 // width of linear addresses
	TSCHz       uint64 // from leaf 15h or a hypervisor, 0 when neither says
	APICHz      uint64 // bus clock of the APIC timer, likewise
	SVMRevision uint32
	ASIDs       uint32 // how many address space ids SVM has, 0 included
	SVMFeatures uint32 // hw/svm names the bits
	XCR0        uint64 // bits of XCR0 that may be set
	XSAVESize   uint32 // bytes of an XSAVE area with all of them set
}

// Identify reads everything above from CPUID. It asks for no leaf beyond the largest the processor has.
func Identify(query Query) Info {
	var info Info
	basic := query(LeafVendor, 0)
	info.MaxLeaf, info.Vendor = basic.EAX, vendor(basic.EBX, basic.EDX, basic.ECX)
	if last := query(LeafExtended, 0).EAX; last >= LeafExtended && last < LeafExtended+0x1_0000 {
		info.MaxExtended = last
	}
	for i := range where {
		w := &where[i]
		if info.has(w.leaf) && pick(query(w.leaf, w.subleaf), w.register)>>w.bit&1 != 0 {
			info.Features |= 1 << i
		}
	}
	info.identity(query)
	info.widths(query)
	info.timing(query)
	if info.Features.Has(FeatureSVM) && info.has(LeafSVM) {
		l := query(LeafSVM, 0)
		info.SVMRevision, info.ASIDs, info.SVMFeatures = l.EAX&0xff, l.EBX, l.EDX
	}
	if info.Features.Has(FeatureXSAVE) && info.has(LeafXSAVE) {
		l := query(LeafXSAVE, 0)
		info.XCR0, info.XSAVESize = uint64(l.EDX)<<32|uint64(l.EAX), l.ECX
	}
	return info
}

func (info *Info) has(leaf uint32) bool {
	if leaf >= LeafExtended {
		return leaf <= info.MaxExtended
	}
	return leaf <= info.MaxLeaf
}

// identity reads family, model, stepping and the APIC id. APM vol. 3, E.3.2.
func (info *Info) identity(query Query) {
	if !info.has(LeafFeatures) {
		return
	}
	l := query(LeafFeatures, 0)
	info.Stepping, info.Model, info.Family = l.EAX&0xf, l.EAX>>4&0xf, l.EAX>>8&0xf
	if info.Family == 0xf || info.Family == 6 && info.Vendor == Intel {
		info.Model |= l.EAX >> 12 & 0xf0
	}
	if info.Family == 0xf {
		info.Family += l.EAX >> 20 & 0xff
	}
	info.APICID = l.EBX >> 24
	if info.has(LeafTopology) {
		if t := query(LeafTopology, 0); t.EBX != 0 {
			info.APICID = t.EDX
		}
	}
}

// widths reads how wide addresses are. APM vol. 3, E.4.7.
func (info *Info) widths(query Query) {
	info.PhysBits, info.VirtBits = 36, 48
	if info.has(0x8000_0008) {
		l := query(0x8000_0008, 0)
		info.PhysBits, info.VirtBits = l.EAX&0xff, l.EAX>>8&0xff
	}
}

// timing reads the clock rates that the processor or a hypervisor is willing to tell.
func (info *Info) timing(query Query) {
	if info.has(LeafTSC) {
		l := query(LeafTSC, 0)
		if l.EAX != 0 && l.EBX != 0 && l.ECX != 0 {
			info.TSCHz, info.APICHz = uint64(l.ECX)*uint64(l.EBX)/uint64(l.EAX), uint64(l.ECX)
		}
	}
	if !info.Features.Has(FeatureHypervisor) {
		return
	}
	h := query(LeafHypervisor, 0)
	info.Hypervisor = vendor(h.EBX, h.ECX, h.EDX)
	if h.EAX >= LeafHVTiming && h.EAX < LeafHypervisor+0x1_0000 {
		t := query(LeafHVTiming, 0)
		if t.EAX != 0 {
			info.TSCHz = uint64(t.EAX) * 1000
		}
		if t.EBX != 0 {
			info.APICHz = uint64(t.EBX) * 1000
		}
	}
}

func pick(l Leaf, register uint8) uint32 {
	switch register {
	case eax:
		return l.EAX
	case ebx:
		return l.EBX
	case ecx:
		return l.ECX
	}
	return l.EDX
}

func vendor(a, b, c uint32) Vendor {
	return Vendor{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24), byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24),
		byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24)}
}
