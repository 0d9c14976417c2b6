package devices

import (
	"fmt"
	"time"

	"nom.dev/nom/hw/igb"
	"nom.dev/nom/kernel/pci"
	"nom.dev/nom/metal"
)

// card is the physical function of an 82576: it says which frames go to which virtual function, and which may work.
type card struct {
	bar       uint64
	address   [6]byte
	functions []*pci.Function
}

// numFunctions leaves one pool to the physical function, as Linux does.
const numFunctions = igb.NumVFs - 1

// Frames: 1514 bytes, and with tag and check sequence what the filter counts.
const (
	maxFrame  = 1514
	maxOnWire = maxFrame + 4 + 4
)

func (c *card) read(r uint32) uint32      { return metal.Read32(c.bar + uint64(r)) }
func (c *card) write(r uint32, v uint32)  { metal.Write32(c.bar+uint64(r), v) }
func (c *card) set(r uint32, bits uint32) { c.write(r, c.read(r)|bits) }

// openCard resets the card, lets its link come up and makes its virtual functions.
func openCard(f *pci.Function) (*card, error) {
	if err := f.Start(true); err != nil {
		return nil, err
	}
	c := &card{bar: f.BARs[0].Base}
	c.write(igb.EIMC, ^uint32(0))
	c.write(igb.IMC, ^uint32(0))
	c.set(igb.CTRL, igb.CTRL_RST)
	time.Sleep(time.Millisecond)
	c.write(igb.EIMC, ^uint32(0))
	c.write(igb.IMC, ^uint32(0))
	low, high := c.read(igb.RAL(0)), c.read(igb.RAH(0))
	for i := range c.address {
		c.address[i] = byte((uint64(low) | uint64(high)<<32) >> (8 * i))
	}
	c.set(igb.CTRL, igb.CTRL_SLU)
	c.write(igb.MDIC, igb.MDICWrite(igb.PHY_BMCR, igb.BMCR_AUTOEN|igb.BMCR_ANRESTART|igb.BMCR_1000|igb.BMCR_FD))
	for n := 0; c.read(igb.MDIC)&igb.MDIC_READY == 0; n++ {
		if n == 100 {
			return nil, fmt.Errorf("the PHY of %v does not answer", f)
		}
		time.Sleep(time.Millisecond)
	}
	var err error
	if c.functions, err = f.EnableVFs(min(numFunctions, f.TotalVFs())); err != nil {
		return nil, err
	}
	c.program()
	return c, nil
}

// program sets pools and filters. The functions stay closed.
func (c *card) program() {
	for n := range uint32(len(c.functions)) {
		mac := c.mac(int(n))
		low, high := igb.Address(mac)
		c.write(igb.RAL(n+1), low)
		c.write(igb.RAH(n+1), high|igb.RAH_AV|igb.RAH_POOL0<<n)
		c.write(igb.VMOLR(n), maxOnWire|igb.VMOLR_AUPE|igb.VMOLR_BAM|igb.VMOLR_STRCRC)
	}
	low, high := igb.Address(c.address)
	c.write(igb.RAL(0), low)
	c.write(igb.RAH(0), high|igb.RAH_AV|igb.RAH_POOL0<<(igb.NumVFs-1)) // nobody's
	c.write(igb.MRQC, igb.MRQC_VMDQ)
	c.write(igb.VT_CTL, igb.VT_CTL_DIS_DEF_POOL|igb.VT_CTL_REPL_EN)
	c.write(igb.RPLOLR, igb.RPLOLR_STRCRC)
	c.write(igb.DTXSWC, igb.DTXSWC_LOOPBACK)
	c.write(igb.VFRE, 0)
	c.write(igb.VFTE, 0)
	c.write(igb.GPIE, igb.GPIE_MSIX_MODE|igb.GPIE_EIAME|igb.GPIE_PBA|igb.GPIE_NSICR)
	c.set(igb.CTRL_EXT, igb.CTRL_EXT_PFRSTD)
	c.write(igb.RCTL, igb.RCTL_EN|igb.RCTL_BAM|igb.RCTL_SECRC)
	c.set(igb.TCTL, igb.TCTL_EN|igb.TCTL_PSP)
}

// mac is the address of function n: the card's, marked as locally administered and counted up.
func (c *card) mac(n int) [6]byte {
	mac := c.address
	mac[0] |= 2
	mac[4] += byte(n+1) << 4
	return mac
}

// open lets function n receive and transmit.
func (c *card) open(n int) {
	c.write(igb.VFLRE, 1<<n)
	c.set(igb.VFRE, 1<<n)
	c.set(igb.VFTE, 1<<n)
}

// close stops function n.
func (c *card) close(n int) {
	c.write(igb.VFRE, c.read(igb.VFRE)&^(1<<n))
	c.write(igb.VFTE, c.read(igb.VFTE)&^(1<<n))
}

// clean removes what a reset leaves of the last holder: its interrupt causes and where they went.
func (c *card) clean(n int) {
	c.write(igb.IVAR(uint32(n)), 0)
	c.write(igb.PVTEIMC(uint32(n)), 7)
	c.write(igb.VFLRE, 1<<n)
}
