package igb

import "nom.dev/nom/hw/igb"

// mailboxes answers what functions ask: drivers of others for their address, and who wants long frames for those. All else is refused.
func (p *PF) mailboxes() {
	events := p.read(igb.MBVFICR)
	for n := range p.functions {
		if events>>n&1 != 0 && p.answer(uint32(n)) {
			p.write(igb.MBVFICR, 1<<n)
		}
	}
	p.write(igb.MBVFICR, events&0x00ff_0000)
}

// answer reads a message and replies to it. A function that holds its mailbox is asked again in the next round.
func (p *PF) answer(vf uint32) bool {
	if !p.lockMailbox(vf) {
		return false
	}
	message, argument := p.read(igb.VMBMEM(vf, 0)), p.read(igb.VMBMEM(vf, 1))
	p.write(igb.P2VMAILBOX(vf), igb.P2V_ACK)
	if !p.lockMailbox(vf) {
		return true
	}
	kind := message & 0xffff
	reply := kind | igb.VT_NACK | igb.VT_CTS
	switch {
	case kind == igb.VF_RESET:
		reply = kind | igb.VT_ACK | igb.VT_CTS
		mac := p.fn[vf].filter.MAC
		low, high := igb.Address(mac)
		p.write(igb.VMBMEM(vf, 1), low)
		p.write(igb.VMBMEM(vf, 2), high)
	case kind == igb.VF_SET_LPE && p.lengthen(int(vf), argument):
		reply = kind | igb.VT_ACK | igb.VT_CTS
	}
	p.write(igb.VMBMEM(vf, 0), reply)
	p.write(igb.P2VMAILBOX(vf), igb.P2V_STS)
	return true
}

// lengthen lets frames of up to so many bytes, with FCS and a tag, in to a function, until it is given back. Nobody else gets more or less
// by it: how long the frames are that a function sends, the controller does not limit in any case.
func (p *PF) lengthen(n int, size uint32) bool {
	if size < MinFrame+fcsLen+tagLen || size > longestOnWire {
		return false
	}
	p.fn[n].filter.MaxFrame = int(size) - fcsLen - tagLen
	p.write(igb.VMOLR(uint32(n)), p.fn[n].filter.vmolr())
	return true
}

// lockMailbox takes the words that both sides share.
func (p *PF) lockMailbox(vf uint32) bool {
	p.write(igb.P2VMAILBOX(vf), igb.P2V_PFU)
	return p.read(igb.P2VMAILBOX(vf))&igb.P2V_PFU != 0
}
