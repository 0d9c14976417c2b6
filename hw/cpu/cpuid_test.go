package cpu

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// epyc and maxModel are what "-cpu EPYC,+svm,+npt,+x2apic" and "-cpu max" answer in QEMU 10.0.2 under TCG on processor 0: all leaves
// that Identify may ask for, recorded by a bare-metal program.
var (
	epyc = map[[2]uint32]Leaf{
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
	maxModel = map[[2]uint32]Leaf{
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

func play(recording map[[2]uint32]Leaf) Query {
	return func(leaf, subleaf uint32) Leaf { return recording[[2]uint32{leaf, subleaf}] }
}

func TestIdentify(t *testing.T) {
	info := Identify(play(epyc))
	if info.Vendor != AMD || info.Vendor.String() != "AuthenticAMD" || info.Hypervisor != TCG {
		t.Errorf("vendor %q, hypervisor %q", info.Vendor, info.Hypervisor)
	}
	if info.Family != 0x17 || info.Model != 1 || info.Stepping != 2 || info.APICID != 0 {
		t.Errorf("family %#x model %#x stepping %d APIC id %d", info.Family, info.Model, info.Stepping, info.APICID)
	}
	if info.PhysBits != 40 || info.VirtBits != 48 || info.SVMRevision != 1 || info.ASIDs != 16 || info.SVMFeatures != 1 {
		t.Errorf("%d physical bits, %d linear, SVM revision %d, %d ASIDs, features %#x",
			info.PhysBits, info.VirtBits, info.SVMRevision, info.ASIDs, info.SVMFeatures)
	}
	if info.XCR0 != 7 || info.XSAVESize != 0x340 || info.TSCHz != 0 || info.APICHz != 0 {
		t.Errorf("XCR0 %#x, XSAVE %#x bytes, TSC %d Hz, APIC %d Hz", info.XCR0, info.XSAVESize, info.TSCHz, info.APICHz)
	}
	const want = FeatureSVM | FeatureNPT | FeatureX2APIC | FeatureFSGSBASE | FeatureXSAVE | FeatureNX | FeatureSYSCALL | FeatureLM |
		FeaturePage1G | FeatureHypervisor | FeatureSMEP | FeatureSMAP | FeatureRDTSCP | FeatureRDRAND | FeatureRDSEED | FeatureXSAVEOPT
	if missing := info.Features.Missing(want); missing != 0 {
		t.Errorf("%s (and more, %#x) missing from %s", missing.Name(), uint64(missing), info.Features)
	}
	for _, f := range []Feature{FeatureInvariantTSC, FeatureTSCDeadline, FeatureINVLPGB, FeatureNRIPS, FeatureFlushByASID, FeatureVMX, FeatureLA57, FeaturePCID, FeatureAVX512F} {
		if info.Features.Has(f) {
			t.Errorf("has %s, but should not", f.Name())
		}
	}
}

func TestIdentifyMax(t *testing.T) {
	info := Identify(play(maxModel))
	if info.Vendor != AMD || info.Family != 6 || info.Model != 6 || info.Stepping != 3 || info.PhysBits != 40 || info.VirtBits != 57 {
		t.Errorf("%s family %#x model %#x stepping %d, %d physical bits, %d linear", info.Vendor, info.Family, info.Model, info.Stepping, info.PhysBits, info.VirtBits)
	}
	if info.XCR0 != XCR0X87|XCR0SSE|XCR0AVX|XCR0MPX|XCR0PKRU || info.XSAVESize != 0xa88 || info.SVMFeatures != 0x1001_0001 {
		t.Errorf("XCR0 %#x, XSAVE %#x bytes, SVM features %#x", info.XCR0, info.XSAVESize, info.SVMFeatures)
	}
	const want = FeatureSVM | FeatureNPT | FeatureX2APIC | FeatureLA57 | FeaturePKU | FeatureUMIP | FeatureRDPID | FeatureFSRM | FeatureARAT
	if missing := info.Features.Missing(want); missing != 0 {
		t.Errorf("%s (and more, %#x) missing from %s", missing.Name(), uint64(missing), info.Features)
	}
}

func TestTiming(t *testing.T) {
	bare := map[[2]uint32]Leaf{{0, 0}: {0x16, 0, 0, 0}, {0x15, 0}: {2, 176, 24_000_000, 0}}
	if info := Identify(play(bare)); info.TSCHz != 2_112_000_000 || info.APICHz != 24_000_000 {
		t.Errorf("leaf 15h: TSC %d Hz, APIC %d Hz", info.TSCHz, info.APICHz)
	}
	hv := map[[2]uint32]Leaf{{0, 0}: {1, 0, 0, 0}, {1, 0}: {0, 0, 1 << 31, 0}, {0x4000_0000, 0}: {0x4000_0010, 0x4b4d_564b, 0x564b_4d56, 0x4d},
		{0x4000_0010, 0}: {2_000_000, 1_000_000, 0, 0}}
	if info := Identify(play(hv)); info.TSCHz != 2_000_000_000 || info.APICHz != 1_000_000_000 || info.Hypervisor != KVM {
		t.Errorf("hypervisor leaf: TSC %d Hz, APIC %d Hz, %q", info.TSCHz, info.APICHz, info.Hypervisor)
	}
}

// A processor that answers nonsense must not be asked for leaves it does not have, nor make Identify fail.
func TestIdentifyAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.Uint32()
		maxBasic, maxExt := rapid.Uint32Range(0, 0x20).Draw(t, "basic"), rapid.Uint32().Draw(t, "extended")
		answer := Leaf{word.Draw(t, "eax"), word.Draw(t, "ebx"), word.Draw(t, "ecx"), word.Draw(t, "edx")}
		Identify(func(leaf, _ uint32) Leaf {
			a := answer
			switch {
			case leaf == 0:
				a.EAX = maxBasic
			case leaf == LeafExtended:
				a.EAX = maxExt
			case leaf < LeafHypervisor && leaf > maxBasic, leaf > LeafExtended && leaf > maxExt:
				t.Fatalf("asked for leaf %#x; the largest are %#x and %#x", leaf, maxBasic, maxExt)
			}
			return a
		})
	})
}

func TestFeatureTables(t *testing.T) {
	seen := map[string]bool{}
	for i, w := range where {
		if w.leaf == 0 {
			t.Errorf("feature %d has no place in CPUID", i)
		}
		name := Feature(1 << i).Name()
		if name == "" || seen[name] {
			t.Errorf("feature %d has the name %q", i, name)
		}
		seen[name] = true
	}
	for f, want := range map[Feature]string{FeatureTSC: "tsc", FeatureHypervisor: "hypervisor", FeatureFSRM: "fsrm", FeatureARAT: "arat",
		FeatureLM: "lm", FeatureNPT: "npt", FeatureVMX: "vmx", FeatureX2APIC: "x2apic", FeatureInvariantTSC: "invtsc", FeaturePage1G: "pdpe1gb"} {
		if got := f.Name(); got != want {
			t.Errorf("feature %#x is named %q, want %q", uint64(f), got, want)
		}
	}
	if got := Features(FeatureSVM | FeatureTSC).String(); strings.TrimSpace(got) != "tsc svm" {
		t.Errorf("String() = %q", got)
	}
}
