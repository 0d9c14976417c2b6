package nictest

// Bits of V2PMAILBOX and of messages, of which this physical function knows one.
const (
	req, vfu     = 1 << 0, 1 << 2
	pfsts, pfack = 1 << 4, 1 << 5
	setLPE       = 5
	messageACK   = 1 << 31
	messageNACK  = 1 << 30
	fcsAndTag    = 8
)

// readMailbox reads the state of the mailbox; what the physical function says there is cleared by it.
func (d *Device) readMailbox() uint32 {
	v := d.regs[mailbox]
	d.regs[mailbox] = v &^ (pfsts | pfack)
	return v
}

// writeMailbox takes and gives back the words that both sides share, and has the physical function read a message.
func (d *Device) writeMailbox(v uint32) {
	d.regs[mailbox] = d.regs[mailbox]&^vfu | v&vfu
	if v&req == 0 || d.Mute {
		return
	}
	longest := d.Longest
	if longest == 0 {
		longest = 9014
	}
	message, n := d.regs[vmbmem], int(d.regs[vmbmem+4])-fcsAndTag
	reply := message&0xffff | messageNACK
	if message&0xffff == setLPE && n >= 60 && n <= longest {
		d.MaxFrame = n
		reply = message&0xffff | messageACK
	}
	d.regs[vmbmem] = reply
	d.regs[mailbox] |= pfsts | pfack
}
