package igb

import "nom.dev/nom/hw/igb"

// mailboxes answers what functions ask. Nom's own driver never asks: others learn their address here, and that all else is refused.
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
	message := p.read(igb.VMBMEM(vf, 0))
	p.write(igb.P2VMAILBOX(vf), igb.P2V_ACK)
	if !p.lockMailbox(vf) {
		return true
	}
	kind := message & 0xffff
	reply := kind | igb.VT_NACK | igb.VT_CTS
	if kind == igb.VF_RESET {
		reply = kind | igb.VT_ACK | igb.VT_CTS
		mac := p.fn[vf].filter.MAC
		low, high := igb.Address(mac)
		p.write(igb.VMBMEM(vf, 1), low)
		p.write(igb.VMBMEM(vf, 2), high)
	}
	p.write(igb.VMBMEM(vf, 0), reply)
	p.write(igb.P2VMAILBOX(vf), igb.P2V_STS)
	return true
}

// lockMailbox takes the words that both sides share.
func (p *PF) lockMailbox(vf uint32) bool {
	p.write(igb.P2VMAILBOX(vf), igb.P2V_PFU)
	return p.read(igb.P2VMAILBOX(vf))&igb.P2V_PFU != 0
}
