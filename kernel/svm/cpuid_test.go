package svm

import (
	"testing"

	"pgregory.net/rapid"
)

type leaf [2]uint32

// epyc and maxModel are what "-cpu EPYC,+svm,+npt,+x2apic" and "-cpu max" answer in QEMU 10.0.2 under TCG, as in package hw/cpu's
// tests: EAX, EBX, ECX, EDX.
var (
	epyc = map[leaf][4]uint32{
		{0, 0}:          {0xd, 0x68747541, 0x444d4163, 0x69746e65},
		{1, 0}:          {0x00800f12, 0x00020800, 0xf6f8320b, 0x178bfbfd},
		{6, 0}:          {4, 0, 0, 0},
		{7, 0}:          {0, 0x209c01a9, 0, 0},
		{0xb, 0}:        {0, 1, 0x100, 0},
		{0xd, 0}:        {7, 0x240, 0x340, 0},
		{0xd, 1}:        {5, 0x340, 0, 0},
		{0x40000000, 0}: {0x40000001, 0x54474354, 0x43544743, 0x47435447},
		{0x80000000, 0}: {0x8000001e, 0x68747541, 0x444d4163, 0x69746e65},
		{0x80000001, 0}: {0x00800f12, 0, 0x177, 0x2dd3fbfd},
		{0x80000008, 0}: {0x3028, 0, 0x1001, 0},
		{0x8000000a, 0}: {1, 0x10, 0, 1},
	}
	maxModel = map[leaf][4]uint32{
		{0, 0}:          {0xd, 0x68747541, 0x444d4163, 0x69746e65},
		{1, 0}:          {0x00000663, 0x00000800, 0xf6f8320b, 0x0fcbfbfd},
		{6, 0}:          {4, 0, 0, 0},
		{7, 0}:          {1, 0x219c43a9, 0x8041020c, 0x10},
		{0xb, 0}:        {0, 1, 0x100, 0},
		{0xd, 0}:        {0x21f, 0x240, 0xa88, 0},
		{0xd, 1}:        {5, 0x3c8, 0, 0},
		{0x40000000, 0}: {0x40000001, 0x54474354, 0x43544743, 0x47435447},
		{0x80000000, 0}: {0x8000000a, 0x68747541, 0x444d4163, 0x69746e65},
		{0x80000001, 0}: {0x00000663, 0, 0x177, 0xedd3fbfd},
		{0x80000008, 0}: {0x3928, 0x204, 0, 0},
		{0x8000000a, 0}: {1, 0x10, 0, 0x10010001},
	}
)

func play(recording map[leaf][4]uint32) CPUID {
	return func(l, sub uint32) (a, b, c, d uint32) {
		r := recording[leaf{l, sub}]
		return r[0], r[1], r[2], r[3]
	}
}

// everything is a processor with all bits of all leaves.
func everything(l, sub uint32) (a, b, c, d uint32) {
	return ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)
}

// TestFilterRecorded: what vCPU 3 sees of the recorded processors.
func TestFilterRecorded(t *testing.T) {
	for _, c := range []struct {
		name      string
		host      map[leaf][4]uint32
		leaf, sub uint32
		want      [4]uint32
	}{
		{"EPYC: vendor", epyc, 0, 0, [4]uint32{0xd, 0x68747541, 0x444d4163, 0x69746e65}},
		{"EPYC: features", epyc, 1, 0, [4]uint32{0x00800f12, 0x03010800, 0xf6f83203, 0x178bab7d}},
		{"EPYC: power", epyc, 6, 0, [4]uint32{}},
		{"EPYC: structured", epyc, 7, 0, [4]uint32{0, 0x209c01a9, 0, 0}},
		{"EPYC: topology", epyc, 0xb, 0, [4]uint32{0, 1, 0, 3}},
		{"EPYC: topology, next level", epyc, 0xb, 1, [4]uint32{0, 1, 1, 3}},
		{"EPYC: XSAVE", epyc, 0xd, 0, [4]uint32{7, 832, 832, 0}},
		{"EPYC: XSAVEOPT", epyc, 0xd, 1, [4]uint32{5, 0, 0, 0}},
		{"EPYC: AVX state", epyc, 0xd, 2, [4]uint32{256, 576, 0, 0}},
		{"EPYC: hypervisor", epyc, 0x40000000, 0, [4]uint32{0x40000000, 0x6e6d6f6e, 0x6f6e6d6f, 0x6d6f6e6d}},
		{"EPYC: hypervisor, beyond", epyc, 0x40000001, 0, [4]uint32{}},
		{"EPYC: extended", epyc, 0x80000001, 0, [4]uint32{0x00800f12, 0, 0x173, 0x25d3ab7d}},
		{"EPYC: sizes", epyc, 0x80000008, 0, [4]uint32{0x3028, 0, 0, 0}},
		{"EPYC: SVM", epyc, 0x8000000a, 0, [4]uint32{}},
		{"max: structured", maxModel, 7, 0, [4]uint32{0, 0x219c03a9, 0x204, 0x10}},
		{"max: XSAVE", maxModel, 0xd, 0, [4]uint32{7, 832, 832, 0}},
		{"max: MPX state", maxModel, 0xd, 3, [4]uint32{}},
		{"max: sizes", maxModel, 0x80000008, 0, [4]uint32{0x3928, 4, 0, 0}},
	} {
		if got := Filter(play(c.host), c.leaf, c.sub, 3); got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, got, c.want)
		}
	}
}

const (
	eax = iota
	ebx
	ecx
	edx
)

// feature is one bit of an answer.
type feature struct {
	name      string
	leaf, sub uint32
	register  int
	bit       uint32
}

// hidden are features that a container must not see even on a processor that has everything.
var hidden = []feature{
	{"MONITOR", 1, 0, ecx, 3}, {"VMX", 1, 0, ecx, 5}, {"TSC-deadline", 1, 0, ecx, 24}, {"OSXSAVE", 1, 0, ecx, 27},
	{"MCE", 1, 0, edx, 7}, {"MTRR", 1, 0, edx, 12}, {"MCA", 1, 0, edx, 14}, {"ACPI", 1, 0, edx, 22},
	{"SGX", 7, 0, ebx, 2}, {"TSC_ADJUST", 7, 0, ebx, 1}, {"PQM", 7, 0, ebx, 12}, {"MPX", 7, 0, ebx, 14}, {"PQE", 7, 0, ebx, 15},
	{"AVX512F", 7, 0, ebx, 16}, {"AVX512DQ", 7, 0, ebx, 17}, {"AVX512IFMA", 7, 0, ebx, 21}, {"AVX512PF", 7, 0, ebx, 26},
	{"AVX512ER", 7, 0, ebx, 27}, {"AVX512CD", 7, 0, ebx, 28}, {"AVX512BW", 7, 0, ebx, 30}, {"AVX512VL", 7, 0, ebx, 31},
	{"AVX512VBMI", 7, 0, ecx, 1}, {"PKU", 7, 0, ecx, 3}, {"OSPKE", 7, 0, ecx, 4}, {"WAITPKG", 7, 0, ecx, 5}, {"CET_SS", 7, 0, ecx, 7},
	{"AVX512VNNI", 7, 0, ecx, 11}, {"LA57", 7, 0, ecx, 16}, {"RDPID", 7, 0, ecx, 22}, {"AMX", 7, 0, edx, 24}, {"SPEC_CTRL", 7, 0, edx, 26},
	{"XSAVEC", 0xd, 1, eax, 1}, {"XSAVES", 0xd, 1, eax, 3}, {"AVX512 state", 0xd, 0, eax, 5}, {"PKRU state", 0xd, 0, eax, 9},
	{"SVM", 0x80000001, 0, ecx, 2}, {"ExtApicSpace", 0x80000001, 0, ecx, 3}, {"OSVW", 0x80000001, 0, ecx, 9}, {"IBS", 0x80000001, 0, ecx, 10},
	{"SKINIT", 0x80000001, 0, ecx, 12}, {"WDT", 0x80000001, 0, ecx, 13}, {"LWP", 0x80000001, 0, ecx, 15}, {"TCE", 0x80000001, 0, ecx, 17},
	{"PerfCtrExtCore", 0x80000001, 0, ecx, 23}, {"PerfCtrExtNB", 0x80000001, 0, ecx, 24}, {"DBEXT", 0x80000001, 0, ecx, 26},
	{"PerfTSC", 0x80000001, 0, ecx, 27}, {"PerfCtrExtLLC", 0x80000001, 0, ecx, 28}, {"MONITORX", 0x80000001, 0, ecx, 29}, {"AdMskExtn", 0x80000001, 0, ecx, 30},
	{"MCE, AMD", 0x80000001, 0, edx, 7}, {"MTRR, AMD", 0x80000001, 0, edx, 12}, {"MCA, AMD", 0x80000001, 0, edx, 14},
	{"FFXSR", 0x80000001, 0, edx, 25}, {"RDTSCP", 0x80000001, 0, edx, 27},
	{"RDPRU", 0x80000008, 0, ebx, 4}, {"MCOMMIT", 0x80000008, 0, ebx, 8}, {"WBNOINVD", 0x80000008, 0, ebx, 9}, {"INVLPGB", 0x80000008, 0, ebx, 3},
	{"IBPB", 0x80000008, 0, ebx, 12}, {"IBRS", 0x80000008, 0, ebx, 14}, {"STIBP", 0x80000008, 0, ebx, 15}, {"SSBD", 0x80000008, 0, ebx, 24},
	{"APERF", 0x80000007, 0, edx, 10}, {"nested paging", 0x8000000a, 0, edx, 0}, {"SEV", 0x8000001f, 0, eax, 1}, {"automatic IBRS", 0x80000021, 0, eax, 8},
}

// shown are features that programs for containers are built for.
var shown = []feature{
	{"FPU", 1, 0, edx, 0}, {"TSC", 1, 0, edx, 4}, {"SSE2", 1, 0, edx, 26}, {"SSE3", 1, 0, ecx, 0}, {"PCLMULQDQ", 1, 0, ecx, 1},
	{"SSE4.2", 1, 0, ecx, 20}, {"x2APIC", 1, 0, ecx, 21}, {"POPCNT", 1, 0, ecx, 23}, {"AES", 1, 0, ecx, 25}, {"XSAVE", 1, 0, ecx, 26},
	{"AVX", 1, 0, ecx, 28}, {"RDRAND", 1, 0, ecx, 30}, {"hypervisor", 1, 0, ecx, 31}, {"FSGSBASE", 7, 0, ebx, 0}, {"AVX2", 7, 0, ebx, 5},
	{"BMI2", 7, 0, ebx, 8}, {"ERMS", 7, 0, ebx, 9}, {"SHA", 7, 0, ebx, 29}, {"FSRM", 7, 0, edx, 4}, {"UMIP", 7, 0, ecx, 2}, {"VAES", 7, 0, ecx, 9},
	{"XSAVEOPT", 0xd, 1, eax, 0}, {"x87, SSE, AVX state", 0xd, 0, eax, 2}, {"SYSCALL", 0x80000001, 0, edx, 11}, {"NX", 0x80000001, 0, edx, 20},
	{"1 GiB pages", 0x80000001, 0, edx, 26}, {"LM", 0x80000001, 0, edx, 29}, {"invariant TSC", 0x80000007, 0, edx, 8}, {"CLZERO", 0x80000008, 0, ebx, 0},
}

func TestFilterFeatures(t *testing.T) {
	for _, f := range hidden {
		if Filter(everything, f.leaf, f.sub, 0)[f.register]>>f.bit&1 != 0 {
			t.Errorf("%s is shown", f.name)
		}
	}
	for _, f := range shown {
		if Filter(everything, f.leaf, f.sub, 0)[f.register]>>f.bit&1 == 0 {
			t.Errorf("%s is hidden", f.name)
		}
	}
}

// TestFilterAddsNothing: but for identity, topology and the hypervisor, no bit is set that the processor has not; and leaves that
// nobody has thought of are empty.
func TestFilterAddsNothing(t *testing.T) {
	nothing := func(l, sub uint32) (a, b, c, d uint32) { return 0, 0, 0, 0 }
	known := map[uint32]bool{0: true, 1: true, 7: true, 0xb: true, 0xd: true, 0x15: true, 0x16: true, 0x1f: true, 0x4000_0000: true, 0x8000_0000: true,
		0x8000_0001: true, 0x8000_0002: true, 0x8000_0003: true, 0x8000_0004: true, 0x8000_0005: true, 0x8000_0006: true, 0x8000_0007: true,
		0x8000_0008: true, 0x8000_0019: true, 0x8000_001d: true}
	ours := map[uint32]bool{1: true, 0xb: true, 0xd: true, 0x1f: true, 0x4000_0000: true}
	check := func(t interface{ Fatalf(string, ...any) }, l, sub uint32) {
		if got := Filter(everything, l, sub, 0); !known[l] && got != [4]uint32{} {
			t.Fatalf("leaf %#x of a later processor: got %#x, want nothing", l, got)
		}
		if got := Filter(nothing, l, sub, 0); !ours[l] && got != [4]uint32{} {
			t.Fatalf("leaf %#x of a processor without any: got %#x, want nothing", l, got)
		}
	}
	for l := range uint32(0x100) {
		check(t, l, 0)
		check(t, 0x4000_0000+l, 0)
		check(t, 0x8000_0000+l, 0)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.Uint32().Draw(t, "leaf"), rapid.Uint32().Draw(t, "subleaf"))
	})
}

// TestFilterIndex: a vCPU's APIC id is its index, in each leaf that has one, on whatever core it runs.
func TestFilterIndex(t *testing.T) {
	for index := range uint32(16) {
		if got := Filter(everything, 1, 0, index)[ebx] >> 24; got != index {
			t.Errorf("initial APIC id: got %d, want %d", got, index)
		}
		for _, l := range []uint32{0xb, 0x1f} {
			for sub := range uint32(3) {
				if got := Filter(everything, l, sub, index); got[edx] != index || got[ecx] != sub {
					t.Errorf("leaf %#x/%d: got x2APIC id %d, level %#x, want %d", l, sub, got[edx], got[ecx], index)
				}
			}
		}
	}
}
