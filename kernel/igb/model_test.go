package igb

import (
	"testing"
	"time"

	"nom.dev/nom/hw/igb"
)

// model is the physical function of an 82576 in software, with the oddities of QEMU's: registers, which pools a frame goes to, what a
// function may send, resets by the physical function and by holders of virtual ones, the mailbox. Functions reach it by vfWrite.
type model struct {
	t         testing.TB
	now       time.Duration
	regs      map[uint32]uint32
	rates     map[uint32]uint32 // by queue
	linkAt    time.Duration     // when the link comes up; 0 = never
	resetAt   time.Duration     // when the reset is over
	dead      bool
	deafPHY   bool
	badPHY    bool
	unplugged bool
	reads     int
}

const bar = 0xfe60_0000

// rubbish is in the filters after a reset.
var rubbish = [6]byte{0x44, 0x33, 0x22, 0x11, 0x66, 0x55}

var cardMAC = [6]byte{2, 0, 0, 0, 0, 0x99}

func newModel(t testing.TB) *model {
	m := &model{t: t, regs: map[uint32]uint32{}, rates: map[uint32]uint32{}}
	m.reset()
	return m
}

// reset is CTRL.RST.
func (m *model) reset() {
	counters := map[uint32]uint32{}
	for r, v := range m.regs {
		if r >= 0x10000 {
			counters[r] = v
		}
	}
	m.regs = counters
	low, high := igb.Address(cardMAC)
	m.regs[igb.RAL(0)], m.regs[igb.RAH(0)] = low, high|igb.RAH_AV
	low, high = igb.Address(rubbish)
	m.regs[igb.RAL(9)], m.regs[igb.RAH(9)] = low, high|igb.RAH_AV|igb.RAH_POOL0
	m.regs[igb.UTA(3)] = 5
	m.regs[igb.VFRE], m.regs[igb.VFTE] = 0xff, 0xff
	m.regs[igb.RxQueue(0)+igb.RXDCTL], m.regs[igb.TxQueue(0)+igb.TXDCTL] = igb.QueueEnable, igb.QueueEnable
	m.linkAt = 0
}

func (m *model) Now() time.Duration    { m.now += time.Microsecond; return m.now }
func (m *model) Sleep(d time.Duration) { m.now += d }

func (m *model) Read32(pa uint64) uint32 {
	r := uint32(pa - bar)
	if pa < bar || r >= 128<<10 || r%4 != 0 {
		m.t.Fatalf("read at %#x", pa)
	}
	m.reads++
	if m.dead {
		return 0xffff_ffff
	}
	v := m.regs[r]
	switch r {
	case igb.STATUS:
		v = igb.STATUS_FD | igb.STATUS_SPEED_1000
		if m.linkAt != 0 && m.now >= m.linkAt && !m.unplugged {
			v |= igb.STATUS_LU
		}
	case igb.CTRL:
		if m.now < m.resetAt {
			v |= igb.CTRL_RST
		}
	case igb.ICR:
		m.regs[r] = 0
	}
	return v
}

func (m *model) Write32(pa uint64, v uint32) {
	r := uint32(pa - bar)
	if pa < bar || r >= 128<<10 || r%4 != 0 {
		m.t.Fatalf("write at %#x", pa)
	}
	switch r {
	case igb.CTRL:
		if v&igb.CTRL_RST != 0 {
			m.reset()
			m.resetAt = m.now + 3*time.Millisecond
			v &^= igb.CTRL_RST
		}
		m.regs[r] = v
	case igb.MDIC:
		m.mdic(v)
	case igb.VFLRE, igb.MBVFICR, igb.EICR:
		m.regs[r] &^= v
	case igb.EIMC:
		m.regs[igb.EIMS] &^= v
	case igb.IMC:
		m.regs[igb.IMS] &^= v
	case igb.RTTBCNRC:
		m.rates[m.regs[igb.RTTDQSEL]] = v
	case igb.CTRL_EXT:
		m.regs[r] = v
		for vf := range uint32(igb.NumVFs) {
			if v&igb.CTRL_EXT_PFRSTD != 0 {
				m.regs[v2p(vf)] = m.regs[v2p(vf)]&^igb.V2P_RSTI | igb.V2P_RSTD
			}
		}
	default:
		m.writeOthers(r, v)
	}
}

func (m *model) writeOthers(r, v uint32) {
	if r >= igb.P2VMAILBOX(0) && r < igb.P2VMAILBOX(igb.NumVFs) {
		m.p2v((r-igb.P2VMAILBOX(0))/4, v)
		return
	}
	if r >= 0x10000 { // mirrors: counters are read only, EIAC only grows
		if r&0xff == igb.PVTEIAC(0)&0xff {
			vf := (r - 0x10000) / 0x100
			m.regs[igb.EIAC] |= v & 7 << (22 - 3*vf)
		}
		return
	}
	m.regs[r] = v
}

func (m *model) mdic(v uint32) {
	if m.deafPHY {
		return
	}
	m.regs[igb.MDIC] = v | igb.MDIC_READY
	if v>>21&31 != 1 || m.badPHY {
		m.regs[igb.MDIC] |= igb.MDIC_ERROR
		return
	}
	if v&igb.MDIC_OP_WRITE != 0 && v>>16&31 == igb.PHY_BMCR && v&(igb.BMCR_ANRESTART|igb.BMCR_AUTOEN) == igb.BMCR_ANRESTART|igb.BMCR_AUTOEN &&
		m.regs[igb.CTRL]&igb.CTRL_SLU != 0 {
		m.linkAt = m.now + 500*time.Millisecond
	}
}

// v2p is where the model keeps a function's side of the mailbox.
func v2p(vf uint32) uint32 { return 0xc40 + 4*vf }

func (m *model) p2v(vf, v uint32) {
	p, f := igb.P2VMAILBOX(vf), v2p(vf)
	if v&igb.P2V_STS != 0 {
		m.regs[f] |= igb.V2P_PFSTS
	}
	if v&igb.P2V_ACK != 0 {
		m.regs[f] |= igb.V2P_PFACK
	}
	switch {
	case v&igb.P2V_PFU == 0:
		m.regs[p] &^= igb.P2V_PFU
		m.regs[f] &^= igb.V2P_PFU
	case m.regs[f]&igb.V2P_VFU == 0:
		m.regs[p] |= igb.P2V_PFU
		m.regs[f] |= igb.V2P_PFU
	}
	if v&igb.P2V_RVFU != 0 {
		m.regs[f] &^= igb.V2P_VFU
		m.regs[igb.MBVFICR] &^= (1 | 1<<16) << vf
	}
}

// vfWrite is a write to a virtual function's register, by its holder.
func (m *model) vfWrite(vf, r, v uint32) {
	switch r {
	case igb.VTCTRL:
		if v&igb.CTRL_RST != 0 {
			m.vfReset(vf)
		}
	case igb.VTEIMS:
		m.regs[igb.EIMS] |= v & 7 << (22 - 3*vf)
	case igb.VTEIAC:
		m.regs[igb.EIAC] |= v & 7 << (22 - 3*vf)
	case igb.VTEICS:
		m.regs[igb.EICR] |= v & 7 << (22 - 3*vf)
	case igb.VTIVAR: // bits are only added, and the number is not checked
		for i := uint32(0); i < 16; i += 8 {
			if e := v >> i & 0xff; e&igb.IVARValid != 0 {
				m.regs[igb.IVAR(vf)] |= (igb.IVARValid | 22 - 3*vf + e&7) << i
			}
		}
	case igb.V2PMAILBOX:
		m.regs[igb.MBVFICR] |= v & 1 << vf
		m.regs[igb.MBVFICR] |= v >> 1 & 1 << (16 + vf)
		if v&igb.V2P_VFU == 0 {
			m.regs[v2p(vf)] &^= igb.V2P_VFU
		} else if m.regs[v2p(vf)]&igb.V2P_PFU == 0 {
			m.regs[v2p(vf)] |= igb.V2P_VFU
		}
	case igb.VFPSRTYPE:
		m.regs[igb.PSRTYPE(vf)] = v
	default:
		m.vfWriteRest(vf, r, v)
	}
}

func (m *model) vfWriteRest(vf, r, v uint32) {
	if r >= igb.VTEITR0 && r < igb.VTEITR0+12 {
		m.regs[igb.EITR(22-3*vf)+r-igb.VTEITR0] = v
	}
	if r >= igb.VMBMEM0 && r < igb.VMBMEM0+64 {
		m.regs[igb.VMBMEM(vf, (r-igb.VMBMEM0)/4)] = v
	}
	for n := range uint32(2) {
		if at := r - igb.VFRxQueue(n); at < 0x40 {
			m.regs[igb.RxQueue(igb.Queue(vf, n))+at] = v
		}
		if at := r - igb.VFTxQueue(n); at < 0x40 {
			m.regs[igb.TxQueue(igb.Queue(vf, n))+at] = v
		}
	}
}

// vfRead is a read of a holder, where it is not a plain register.
func (m *model) vfMailbox(vf uint32) uint32 {
	v := m.regs[v2p(vf)]
	m.regs[v2p(vf)] &^= igb.V2P_PFSTS | igb.V2P_PFACK | igb.V2P_RSTD
	return v
}

// vfReset is what VTCTRL.RST and FLR do.
func (m *model) vfReset(vf uint32) {
	for n := range uint32(2) {
		m.regs[igb.RxQueue(igb.Queue(vf, n))+igb.RXDCTL] &^= igb.QueueEnable
		m.regs[igb.TxQueue(igb.Queue(vf, n))+igb.TXDCTL] &^= igb.QueueEnable
	}
	m.regs[igb.VFRE] &^= 1 << vf
	m.regs[igb.VFTE] &^= 1 << vf
	m.regs[igb.VFLRE] |= 1 << vf
	m.regs[igb.ICR] |= igb.ICR_VMMB
}

// start sets a function's queues up as a driver does.
func (m *model) start(vf uint32) {
	for n := range uint32(2) {
		m.vfWrite(vf, igb.VFRxQueue(n)+igb.RDBAL, 0x1000)
		m.vfWrite(vf, igb.VFRxQueue(n)+igb.RDLEN, 0x1000)
		m.vfWrite(vf, igb.VFRxQueue(n)+igb.SRRCTL, 2|igb.SRRCTL_ADV_ONEBUF)
		m.vfWrite(vf, igb.VFRxQueue(n)+igb.RXDCTL, igb.QueueEnable)
		m.vfWrite(vf, igb.VFRxQueue(n)+igb.RDT, 255)
		m.vfWrite(vf, igb.VFTxQueue(n)+igb.TDBAL, 0x2000)
		m.vfWrite(vf, igb.VFTxQueue(n)+igb.TDLEN, 0x1000)
		m.vfWrite(vf, igb.VFTxQueue(n)+igb.TDWBAL, 0x3001)
		m.vfWrite(vf, igb.VFTxQueue(n)+igb.TXDCTL, igb.QueueEnable)
		m.vfWrite(vf, igb.VFTxQueue(n)+igb.TDT, 3)
	}
	m.vfWrite(vf, igb.VTIVAR, 0x8180)
	m.vfWrite(vf, igb.VTEIAC, 7)
	m.vfWrite(vf, igb.VTEIMS, 7)
	m.vfWrite(vf, igb.VTEITR0+4, 4000)
}

// frame is what the controller looks at of a frame.
type frame struct {
	to     [6]byte
	vlan   int // 0 = no tag
	length int // with tag, without FCS
}

// receive is which functions get a frame from the wire, as a mask.
func (m *model) receive(f frame) uint32 {
	rctl := m.regs[igb.RCTL]
	if rctl&igb.RCTL_EN == 0 || m.regs[igb.MRQC]&7 != igb.MRQC_VMDQ && m.regs[igb.MRQC]&7 != igb.MRQC_VMDQ_RSS {
		return 0
	}
	if tooLong(f, rctl&igb.RCTL_LPE != 0, m.regs[igb.RLPML]) {
		return 0
	}
	if f.vlan != 0 && rctl&igb.RCTL_VFE != 0 && m.regs[igb.VFTA(uint32(f.vlan/32))]>>(f.vlan%32)&1 == 0 {
		return 0
	}
	pools := m.byAddress(f) & m.byVLAN(f) & m.regs[igb.VFRE]
	for pool := range uint32(igb.NumVFs) {
		v := m.regs[igb.VMOLR(pool)]
		if tooLong(f, v&igb.VMOLR_LPE != 0, v&igb.VMOLR_RLPML) || m.regs[igb.RxQueue(pool)+igb.RXDCTL]&igb.QueueEnable == 0 {
			pools &^= 1 << pool
		}
	}
	return pools
}

func tooLong(f frame, lpe bool, longest uint32) bool {
	if lpe {
		return f.length+4 > int(longest)
	}
	return f.vlan == 0 && f.length > 1514 || f.length > 1518
}

func (m *model) byAddress(f frame) uint32 {
	pools := uint32(0)
	with := func(bit uint32) {
		for pool := range uint32(igb.NumVFs) {
			if m.regs[igb.VMOLR(pool)]&bit != 0 {
				pools |= 1 << pool
			}
		}
	}
	if f.to == [6]byte{255, 255, 255, 255, 255, 255} {
		with(igb.VMOLR_BAM)
		return pools
	}
	low, high := igb.Address(f.to)
	for i := range uint32(igb.NumRA) {
		if h := m.regs[igb.RAH(i)]; h&igb.RAH_AV != 0 && m.regs[igb.RAL(i)] == low && h&0xffff == high {
			pools |= h >> 18 & 0xff
		}
	}
	hash := (uint32(f.to[5])<<8 | uint32(f.to[4])) >> 4 & 0xfff
	table := igb.UTA(hash >> 5)
	if f.to[0]&1 != 0 {
		table = igb.MTA(hash >> 5)
	}
	if pools == 0 && m.regs[table]>>(hash&31)&1 != 0 {
		with(igb.VMOLR_ROMPE)
	}
	if pools == 0 && m.regs[igb.VT_CTL]&igb.VT_CTL_DIS_DEF_POOL == 0 {
		pools = 1
	}
	return pools
}

func (m *model) byVLAN(f frame) uint32 {
	if m.regs[igb.RCTL]&igb.RCTL_VFE == 0 {
		return 0xff
	}
	pools := uint32(0)
	for i := range uint32(igb.NumVLVF) {
		if v := m.regs[igb.VLVF(i)]; f.vlan != 0 && v&igb.VLVF_VIEN != 0 && int(v&igb.VLVF_ID) == f.vlan {
			pools |= v >> 12 & 0xff
		}
	}
	for pool := range uint32(igb.NumVFs) {
		if f.vlan == 0 && m.regs[igb.VMOLR(pool)]&igb.VMOLR_AUPE != 0 {
			pools |= 1 << pool
		}
	}
	return pools
}

// send lets a function send bytes; false when it may not.
func (m *model) send(vf, frames, bytes uint32) bool {
	if m.regs[igb.TCTL]&igb.TCTL_EN == 0 || m.regs[igb.VFTE]>>vf&1 == 0 || m.regs[igb.TxQueue(vf)+igb.TXDCTL]&igb.QueueEnable == 0 {
		return false
	}
	m.regs[igb.PVFGPTC(vf)] += frames
	m.regs[igb.PVFGOTC(vf)] += bytes
	return true
}
