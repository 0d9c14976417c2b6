package igb

import (
	"fmt"

	"nom.dev/nom/hw/igb"
)

// Filter says which frames a function gets, and what is done to those that it sends.
type Filter struct {
	MAC       [6]byte
	VLAN      uint16 // 0: untagged frames only. Else all its frames are in this VLAN, and the tag is not in them
	MaxFrame  int    // longest frame without tag and FCS
	Multicast bool   // all multicasts, which IPv6 cannot do without; broadcasts come always
	TwoQueues bool   // flows are spread over both queues of the function, else it gets all in the first; the emulation does not
}

// Lengths of frames, without tag and FCS.
const (
	MinFrame      = 60
	StandardFrame = 1514
	JumboFrame    = 9014 // an MTU of 9000
	fcsLen        = 4
	tagLen        = 4
	longestOnWire = JumboFrame + fcsLen + tagLen
)

// vlan is an entry of VLVF: the pools that are in a VLAN.
type vlan struct {
	id    uint16
	pools uint32
}

// DefaultFilter is the filter of function n after Setup: an address of its own, untagged standard frames, multicasts.
func (p *PF) DefaultFilter(n int) Filter {
	mac := p.mac
	mac[0] = mac[0]&^1 | 2 // locally administered
	mac[4] ^= byte(n+1) << 4
	return Filter{MAC: mac, MaxFrame: StandardFrame, Multicast: true}
}

// SetFilter gives function n another filter, at once.
func (p *PF) SetFilter(n int, f Filter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(n); err != nil {
		return err
	}
	if f.MAC[0]&1 != 0 || f.MAC == [6]byte{} {
		return fmt.Errorf("igb: filter of function %d: %x is no address of a station", n, f.MAC)
	}
	if f.MAC == p.mac {
		return fmt.Errorf("igb: filter of function %d: %x is the controller's own address", n, f.MAC)
	}
	if f.MaxFrame < MinFrame || f.MaxFrame > JumboFrame {
		return fmt.Errorf("igb: filter of function %d: frames of %d bytes: %d to %d are possible", n, f.MaxFrame, MinFrame, JumboFrame)
	}
	for i := range p.functions {
		if i != n && p.fn[i].filter.MAC == f.MAC {
			return fmt.Errorf("igb: filter of function %d: function %d has the address %x already", n, i, f.MAC)
		}
	}
	if f.VLAN > igb.VLVF_ID-1 {
		return fmt.Errorf("igb: filter of function %d: VLAN %d: the last is %d", n, f.VLAN, igb.VLVF_ID-1)
	}
	p.leaveVLAN(n)
	if f.VLAN != 0 && !p.joinVLAN(n, f.VLAN) { // cannot be: there are more entries than functions
		return fmt.Errorf("igb: filter of function %d: %d VLANs are in use", n, igb.NumVLVF)
	}
	p.fn[n].filter = f
	p.program(n)
	p.write(igb.DTXSWC, p.switchControl())
	return nil
}

// Filter is the filter of function n.
func (p *PF) Filter(n int) Filter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.check(n) != nil {
		return Filter{}
	}
	return p.fn[n].filter
}

// check says that there is a function n.
func (p *PF) check(n int) error {
	if n < 0 || n >= p.functions {
		return fmt.Errorf("igb: function %d: there are %d", n, p.functions)
	}
	return nil
}

// program writes a filter to the controller. The filter of addresses is off while it is changed.
func (p *PF) program(n int) {
	f, pool := p.fn[n].filter, uint32(n)
	low, high := igb.Address(f.MAC)
	p.write(igb.RAH(pool+1), 0)
	p.write(igb.RAL(pool+1), low)
	p.write(igb.RAH(pool+1), high|igb.RAH_AV|igb.RAH_POOL0<<pool)
	p.write(igb.VMOLR(pool), f.vmolr())
	if f.VLAN == 0 {
		p.write(igb.VMVIR(pool), igb.VMVIR_NEVER)
		return
	}
	p.write(igb.VMVIR(pool), igb.VMVIR_DEFAULT|uint32(f.VLAN))
}

// vmolr is what VMOLR says of the filter.
func (f *Filter) vmolr() uint32 {
	v := uint32(f.MaxFrame+fcsLen) | igb.VMOLR_BAM | igb.VMOLR_STRCRC
	if f.VLAN != 0 {
		v += tagLen
	}
	if f.MaxFrame != StandardFrame {
		v |= igb.VMOLR_LPE
	}
	if f.Multicast {
		v |= igb.VMOLR_ROMPE
	}
	if f.TwoQueues {
		v |= igb.VMOLR_RSSE
	}
	if f.VLAN == 0 {
		return v | igb.VMOLR_AUPE
	}
	return v | igb.VMOLR_STRVLAN
}

// switchControl is what the controller's inner switch does: it drops frames with a foreign source address or VLAN, on hardware.
func (p *PF) switchControl() uint32 {
	v := uint32(0)
	if p.o.Loopback {
		v |= igb.DTXSWC_LOOPBACK
	}
	for i := range p.functions {
		v |= igb.DTXSWC_MAC_SPOOF0 << i
		if p.fn[i].filter.VLAN != 0 {
			v |= igb.DTXSWC_VLAN_SPOOF0 << i
		}
	}
	return v
}

// joinVLAN puts a pool into a VLAN.
func (p *PF) joinVLAN(n int, id uint16) bool {
	free := -1
	for i := range p.vlans {
		e := &p.vlans[i]
		if e.pools != 0 && e.id == id {
			e.pools |= 1 << n
			p.writeVLAN(i)
			return true
		}
		if e.pools == 0 && free < 0 {
			free = i
		}
	}
	if free < 0 {
		return false
	}
	p.vlans[free] = vlan{id, 1 << n}
	p.writeVLAN(free)
	p.set(igb.VFTA(uint32(id/32)), 1<<(id%32))
	return true
}

// leaveVLAN takes a pool out of its VLAN.
func (p *PF) leaveVLAN(n int) {
	for i := range p.vlans {
		e := &p.vlans[i]
		if e.pools>>n&1 == 0 {
			continue
		}
		e.pools &^= 1 << n
		p.writeVLAN(i)
		if e.pools == 0 {
			p.unset(igb.VFTA(uint32(e.id/32)), 1<<(e.id%32))
		}
	}
}

func (p *PF) writeVLAN(i int) {
	e, v := p.vlans[i], uint32(0)
	if e.pools != 0 {
		v = igb.VLVF_VIEN | uint32(e.id) | e.pools*igb.VLVF_POOL0
	}
	p.write(igb.VLVF(uint32(i)), v)
}
