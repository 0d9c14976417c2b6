package nictest

// Offsets, 82576 datasheet section 8.26.1.
const (
	status  = 0x0008
	vmbmem  = 0x0800
	mailbox = 0x0c40
	vteics  = 0x1520
	vteims  = 0x1524
	vteimc  = 0x1528
	vteiac  = 0x152c
	vteiam  = 0x1530
	vteicr  = 0x1580
	vteitr  = 0x1680
	vtivar  = 0x1700
	rdbal   = 0x2800
	rdbah   = 0x2804
	rdlen   = 0x2808
	srrctl  = 0x280c
	rdh     = 0x2810
	rdt     = 0x2818
	rxdctl  = 0x2828
	tdbal   = 0x3800
	tdbah   = 0x3804
	tdlen   = 0x3808
	tdh     = 0x3810
	tdt     = 0x3818
	txdctl  = 0x3828
	tdwbal  = 0x3838
	tdwbah  = 0x383c
	perq    = 0x100
	enabled = 1 << 25
	allBits = 1<<Entries - 1
)

// Read32 reads a register.
func (d *Device) Read32(offset uint32) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Reads++
	if d.gone {
		return d.dead
	}
	switch offset {
	case status:
		if d.link {
			return 1<<18 | 2
		}
		return 1 << 18
	case vteicr: // causes live in the physical function: QEMU, and the driver must not rely on it
		return 0
	case vteims:
		return d.eims
	case mailbox:
		return d.readMailbox()
	}
	return d.regs[offset]
}

// Write32 writes a register.
func (d *Device) Write32(offset, value uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Writes++
	if d.gone {
		return
	}
	switch offset {
	case vteics:
		d.raise(value & allBits)
	case vteims:
		late := value & allBits &^ d.eims & d.eicr // a pending cause fires at once
		d.eims |= value & allBits
		d.fire(late)
	case vteimc:
		d.eims &^= value
	case vteiac:
		d.eiac |= value & allBits
	case vteiam:
		d.eiam = value & allBits
	case vteicr:
		d.eicr &^= value
	case mailbox:
		d.writeMailbox(value)
	case vtivar:
		d.regs[vtivar] |= value // the physical function's IVAR is only ever added to
	default:
		d.regs[offset] = value
		d.wrote(offset)
	}
}

// wrote does what follows from a write to a register of a queue.
func (d *Device) wrote(offset uint32) {
	for q := range uint32(Queues) {
		switch offset - q*perq {
		case tdt:
			d.stats.TailWrites[1]++
			if !d.Late {
				d.transmit(int(q), -1)
			}
		case rdt:
			d.stats.TailWrites[0]++
		case txdctl, rxdctl:
			if d.regs[offset]&enabled == 0 {
				d.queues[q] = queue{}
			}
		}
	}
}

// reg is a register of a queue.
func (d *Device) reg(q int, offset uint32) uint32 { return d.regs[offset+uint32(q)*perq] }

// set changes a register of a queue from within the device.
func (d *Device) set(q int, offset, value uint32) { d.regs[offset+uint32(q)*perq] = value }

// cause is the interrupt entry that a queue raises for what it received (which = 0) or transmitted (1).
func (d *Device) cause(q, which int) uint32 {
	ivar := d.regs[vtivar] >> (16*q + 8*which) & 0xff
	if ivar&0x80 == 0 {
		return 0
	}
	return 1 << (ivar & 3) & allBits
}

// raise notes causes, and fires those that are new and enabled.
func (d *Device) raise(causes uint32) {
	fresh := causes &^ d.eicr & d.eims
	d.eicr |= causes
	d.fire(fresh)
}

// fire sends interrupts, and clears their causes and masks them when the driver wants that.
func (d *Device) fire(causes uint32) {
	for entry := range Entries {
		if causes>>entry&1 == 0 {
			continue
		}
		d.stats.Interrupts++
		d.eicr &^= 1 << entry & d.eiac
		if !d.NoMask {
			d.eims &^= 1 << entry & d.eiam
		}
		if d.OnRaise != nil {
			d.OnRaise(entry)
		}
	}
}
