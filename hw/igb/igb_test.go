package igb

import "testing"

// TestRegisters holds offsets that are computed to those that were used on the emulated device.
func TestRegisters(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint32
	}{
		{"RAL(0)", RAL(0), 0x5400}, {"RAH(1)", RAH(1), 0x540c}, {"RAL(15)", RAL(15), 0x5478}, {"RAL(16)", RAL(16), 0x54e0}, {"RAH(23)", RAH(23), 0x551c},
		{"VMOLR(7)", VMOLR(7), 0x5aec}, {"VMVIR(1)", VMVIR(1), 0x3704}, {"VLVF(31)", VLVF(31), 0x5d7c}, {"VFTA(127)", VFTA(127), 0x57fc},
		{"MTA(127)", MTA(127), 0x53fc}, {"UTA(127)", UTA(127), 0xa1fc}, {"PSRTYPE(1)", PSRTYPE(1), 0x5484}, {"RETA(31)", RETA(31), 0x5c7c}, {"RSSRK(9)", RSSRK(9), 0x5ca4},
		{"EITR(24)", EITR(24), 0x16e0}, {"IVAR(7)", IVAR(7), 0x171c}, {"P2VMAILBOX(2)", P2VMAILBOX(2), 0xc08}, {"VMBMEM(7, 15)", VMBMEM(7, 15), 0x9fc},
		{"PVTCTRL(7)", PVTCTRL(7), 0x10700}, {"PVFGOTC(1)", PVFGOTC(1), 0x10134}, {"PVTEIMC(0)", PVTEIMC(0), 0x10028}, {"PVTEIAC(0)", PVTEIAC(0), 0x1002c},
		{"PVTEICR(3)", PVTEICR(3), 0x10380}, {"PVFGPRC(0)", PVFGPRC(0), 0x10010}, {"PVFGPTC(0)", PVFGPTC(0), 0x10014}, {"PVFGORC(0)", PVFGORC(0), 0x10018},
		{"PVFMPRC(0)", PVFMPRC(0), 0x1003c}, {"PVFGPRLBC(0)", PVFGPRLBC(0), 0x10040}, {"PVFGPTLBC(0)", PVFGPTLBC(0), 0x10044},
		{"PVFGORLBC(0)", PVFGORLBC(0), 0x10048}, {"PVFGOTLBC(0)", PVFGOTLBC(0), 0x10050},
		{"RXDCTL of 0", RxQueue(0) + RXDCTL, 0xc028}, {"TDT of 15", TxQueue(15) + TDT, 0xe3d8},
		{"a VF's RDT", VFRxQueue(0) + RDT, 0x2818}, {"a VF's second TXDCTL", VFTxQueue(1) + TXDCTL, 0x3928}, {"a VF's TDWBAL", VFTxQueue(0) + TDWBAL, 0x3838},
		{"MDIC", MDICWrite(PHY_BMCR, BMCR_AUTOEN|BMCR_ANRESTART|BMCR_FD|BMCR_1000), 0x0420_1340}, {"MDIC read", MDICRead(1), 0x0821_0000},
	} {
		if c.got != c.want {
			t.Errorf("%s = %#x, want %#x", c.name, c.got, c.want)
		}
	}
	if low, high := Address([6]byte{2, 0, 0, 0x12, 0x34, 0x56}); low != 0x1200_0002 || high != 0x5634 {
		t.Errorf("Address = %#x, %#x", low, high)
	}
}

// TestOwners checks that no queue and no interrupt belongs to two functions.
func TestOwners(t *testing.T) {
	queues, causes := uint32(0), uint32(0)
	for vf := range uint32(NumVFs) {
		for n := range uint32(2) {
			if q := Queue(vf, n); q >= NumQueues || queues>>q&1 != 0 {
				t.Errorf("queue %d of function %d is %d, which is taken", n, vf, q)
			}
			queues |= 1 << Queue(vf, n)
		}
		if causes&Causes(vf) != 0 || Causes(vf) != Cause(vf, 0)|Cause(vf, 1)|Cause(vf, 2) {
			t.Errorf("interrupts of function %d: %#x", vf, Causes(vf))
		}
		causes |= Causes(vf)
	}
	if Cause(0, 0) != 1<<22 || Cause(7, 2) != 1<<3 || causes&1 != 0 {
		t.Errorf("interrupts of all functions: %#x", causes)
	}
}

func TestDescriptors(t *testing.T) {
	if got := TxFrame(64); got != 64|0x2b30_0000|64<<46 {
		t.Errorf("TxFrame(64) = %#x", got)
	}
	if got, want := TxData(100, 3000, TxEnd|TxSegment|TxL4)|TxUse(1), uint64(100|0xa130_0000|1<<36|1<<41|3000<<46); got != want {
		t.Errorf("TxData = %#x, want %#x", got, want)
	}
	for _, c := range []struct {
		in            Context
		first, second uint64
	}{
		{Context{VLAN: 200, MACLen: 14, IPLen: 20}, 200<<16 | 14<<9 | 20, 0x2020_0000},
		{Context{Index: 1, MACLen: 14, IPLen: 20, L4Len: 20, Segment: 1460, IPv4: true, TCP: true}, 14<<9 | 20, 0x2020_0c00 | 1<<36 | 20<<40 | 1460<<48},
	} {
		if first, second := c.in.Encode(); first != c.first || second != c.second {
			t.Errorf("%+v = %#x, %#x, want %#x, %#x", c.in, first, second, c.first, c.second)
		}
	}
	second := uint64(100<<48 | 60<<32 | 0x27b) // a UDP frame of 60 bytes that came with tag 100
	if RxLength(second) != 60 || RxTag(second) != 100 || second&(RxDone|RxEnd|RxVLAN|RxL4Error) != RxDone|RxEnd|RxVLAN {
		t.Errorf("received %d bytes, tag %d", RxLength(second), RxTag(second))
	}
	first := uint64(0xdead_beef<<32 | RxSplit | 42<<21 | RxIsIPv4 | RxIsUDP)
	if RxHash(first) != 0xdead_beef || RxHeaderLength(first) != 42 || uint32(first)&0xfff0 != 0x210 {
		t.Errorf("hash %#x, header of %d bytes", RxHash(first), RxHeaderLength(first))
	}
}

func TestRateLimit(t *testing.T) {
	for _, c := range []struct{ link, rate, want uint32 }{
		{1000, 0, 0}, {1000, 1000, 0}, {1000, 2000, 0}, {1000, 500, 1<<31 | 2<<14}, {1000, 300, 1<<31 | 3<<14 | 5461}, {1 << 31, 1, 1<<31 | maxRateDivisor},
	} {
		if got := RateLimit(c.link, c.rate); got != c.want {
			t.Errorf("RateLimit(%d, %d) = %#x, want %#x", c.link, c.rate, got, c.want)
		}
	}
}

func TestOwnCauses(t *testing.T) {
	for _, c := range []struct {
		vf, ivar uint32
		want     bool
	}{
		{0, 0, true}, {0, 0x9796, true}, {0, 0x98, true}, {0, 0x99, false}, {1, 0x96, false}, {1, 0x9500_0093, true}, {1, 0x9600_0093, false},
		{1, 0x1600_0093, true}, {7, 0x81, true}, {7, 0x80, false}, {7, 0x84, false},
	} {
		if got := OwnCauses(c.vf, c.ivar); got != c.want {
			t.Errorf("OwnCauses(%d, %#x) = %v, want %v", c.vf, c.ivar, got, c.want)
		}
	}
}
