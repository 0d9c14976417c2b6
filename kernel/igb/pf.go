// Package igb is the control plane of Intel's 82576 (package hw/igb): it resets the controller, brings the link up, decides which
// frames go to which virtual function, lets functions work and stops them, cleans up between two holders, and counts.
//
// It follows the 82576 Gigabit Ethernet Controller Datasheet and was tried on QEMU's igb. It never touches a frame: queues and their
// interrupts belong to whoever holds the function. Registers are reached only through the accessor that the owner injects. It must
// never let a function work that has not been cleaned, nor wait for one: what a holder does costs at most what Poll does in a round.
//
// What the controller cannot hold a function to is said at the place: the emulation does not check source addresses and has no
// limits of rate; counters and Limit are for that.
//
// # Locks
//
// A PF has one lock and takes it in each method but Open. Only Open waits.
package igb

import (
	"fmt"
	"sync"
	"time"

	"nom.dev/nom/hw/igb"
)

// Memory reaches the controller's registers, by physical address.
type Memory interface {
	Read32(pa uint64) uint32
	Write32(pa uint64, v uint32)
}

// Clock is the machine's.
type Clock interface {
	Now() time.Duration
	Sleep(d time.Duration)
}

// MaxFunctions is how many virtual functions can be used: a pool stays with the physical function, which gets what nobody else is to.
const MaxFunctions = igb.NumVFs - 1

// Options say where a controller is.
type Options struct {
	BAR    uint64 // BAR0, which it must decode
	Memory Memory
	Clock  Clock
	// Loopback lets frames go from function to function inside. The emulation hands broadcasts also to who sent them.
	Loopback bool
}

// PF is the physical function of a controller.
type PF struct {
	o   Options
	mac [6]byte

	mu        sync.Mutex
	functions int // that Setup was told of
	fn        [MaxFunctions]function
	link      Link
	vlans     [igb.NumVLVF]vlan
}

// Link is the state of the wire.
type Link struct {
	Up         bool
	FullDuplex bool
	Mbit       uint32
}

// Limits of Open.
const (
	resetTime = 100 * time.Millisecond
	phyTime   = 100 * time.Millisecond
	pollTime  = time.Millisecond
)

// Open resets a controller and starts its link, which takes a second or two to come up: Link tells. Enable the virtual functions then
// and call Setup.
func Open(o Options) (*PF, error) {
	p := &PF{o: o}
	if v := p.read(igb.STATUS); v == 0xffff_ffff {
		return nil, fmt.Errorf("igb: controller at %#x: it does not answer: is memory access enabled in its command register?", o.BAR)
	}
	p.maskAll()
	p.set(igb.CTRL, igb.CTRL_RST)
	p.o.Clock.Sleep(pollTime)
	if !p.wait(resetTime, func() bool { return p.read(igb.CTRL)&igb.CTRL_RST == 0 }) {
		return nil, fmt.Errorf("igb: controller at %#x: reset has not ended after %v", o.BAR, resetTime)
	}
	p.maskAll()
	low, high := p.read(igb.RAL(0)), p.read(igb.RAH(0))
	p.mac = [6]byte{byte(low), byte(low >> 8), byte(low >> 16), byte(low >> 24), byte(high), byte(high >> 8)}
	p.set(igb.CTRL, igb.CTRL_SLU)
	p.write(igb.MDIC, igb.MDICWrite(igb.PHY_BMCR, igb.BMCR_AUTOEN|igb.BMCR_ANRESTART|igb.BMCR_FD|igb.BMCR_1000))
	if !p.wait(phyTime, func() bool { return p.read(igb.MDIC)&(igb.MDIC_READY|igb.MDIC_ERROR) != 0 }) || p.read(igb.MDIC)&igb.MDIC_ERROR != 0 {
		return nil, fmt.Errorf("igb: controller at %#x: its PHY does not answer (MDIC %#x)", o.BAR, p.read(igb.MDIC))
	}
	return p, nil
}

// maskAll takes the physical function's interrupts away and forgets them; it is polled.
func (p *PF) maskAll() {
	p.write(igb.EIMC, 0xffff_ffff)
	p.write(igb.IMC, 0xffff_ffff)
	p.read(igb.ICR)
}

// Setup programs everything that the virtual functions share, for n functions that were just enabled. None of them works yet, and
// each has the filter that DefaultFilter says.
func (p *PF) Setup(n int) error {
	if n < 0 || n > MaxFunctions {
		return fmt.Errorf("igb: set %d functions up: at most %d", n, MaxFunctions)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.functions = n
	p.write(igb.RCTL, 0)
	p.write(igb.VFRE, 0)
	p.write(igb.VFTE, 0)
	p.write(igb.VFLRE, 0xff)
	for q := range uint32(igb.NumQueues) {
		p.write(igb.RxQueue(q)+igb.RXDCTL, 0) // queue 0 is on after a reset
		p.write(igb.TxQueue(q)+igb.TXDCTL, 0)
	}
	low, high := igb.Address(p.mac)
	p.write(igb.RAL(0), low)
	p.write(igb.RAH(0), high|igb.RAH_AV|igb.RAH_POOL0<<MaxFunctions) // to the pool without queues
	for i := uint32(1); i < igb.NumRA; i++ {
		p.write(igb.RAH(i), 0)
	}
	for i := range uint32(128) {
		p.write(igb.MTA(i), 0xffff_ffff) // all multicasts, for pools that want them
		p.write(igb.UTA(i), 0)
		p.write(igb.VFTA(i), 0)
	}
	for i := range uint32(igb.NumVLVF) {
		p.write(igb.VLVF(i), 0)
		p.vlans[i] = vlan{}
	}
	p.write(igb.MRQC, igb.MRQC_VMDQ_RSS|igb.MRQC_TCPIPv4|igb.MRQC_IPv4|igb.MRQC_IPv6|igb.MRQC_TCPIPv6|igb.MRQC_UDPIPv4|igb.MRQC_UDPIPv6)
	p.write(igb.RXCSUM, igb.RXCSUM_IPOFL|igb.RXCSUM_TUOFL|igb.RXCSUM_PCSD)
	p.spread()
	p.write(igb.VT_CTL, igb.VT_CTL_DIS_DEF_POOL|igb.VT_CTL_REPL_EN)
	p.write(igb.RPLOLR, igb.RPLOLR_STRCRC)
	p.write(igb.RLPML, longestOnWire)
	p.write(igb.GPIE, igb.GPIE_MSIX_MODE|igb.GPIE_EIAME|igb.GPIE_PBA|igb.GPIE_NSICR)
	p.write(igb.DTXSWC, p.switchControl())
	for i := range n {
		p.fn[i] = function{filter: p.DefaultFilter(i)}
		p.program(i)
		p.clean(i)
	}
	p.set(igb.CTRL_EXT, igb.CTRL_EXT_PFRSTD)
	p.write(igb.RCTL, igb.RCTL_EN|igb.RCTL_BAM|igb.RCTL_LPE|igb.RCTL_SECRC|igb.RCTL_VFE)
	p.set(igb.TCTL, igb.TCTL_EN|igb.TCTL_PSP)
	return nil
}

// rssKey is the key of the hash that spreads flows over a function's two queues: that of Microsoft's "Verifying the RSS Hash
// Calculation", so that drivers can compute the hash.
var rssKey = [10]uint32{
	0xda565a6d, 0xc20e5b25, 0x3d256741, 0xb08fa343, 0xcb2bcad0, 0xb4307bae, 0xa32dcb77, 0x0cf23080, 0x3bb7426a, 0xfa01acbe,
}

// spread sets the hash and its table: even entries for a function's first queue, odd ones for its second.
func (p *PF) spread() {
	for i, k := range rssKey {
		p.write(igb.RSSRK(uint32(i)), k)
	}
	for i := range uint32(32) {
		p.write(igb.RETA(i), 0x0100_0100)
	}
}

// MAC is the controller's own address.
func (p *PF) MAC() [6]byte { return p.mac }

// Link is the state of the link now.
func (p *PF) Link() Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readLink()
}

func (p *PF) readLink() Link {
	v := p.read(igb.STATUS)
	l := Link{Up: v&igb.STATUS_LU != 0, FullDuplex: v&igb.STATUS_FD != 0, Mbit: 1000}
	switch v & igb.STATUS_SPEED {
	case igb.STATUS_SPEED_10:
		l.Mbit = 10
	case igb.STATUS_SPEED_100:
		l.Mbit = 100
	}
	return l
}

func (p *PF) read(r uint32) uint32        { return p.o.Memory.Read32(p.o.BAR + uint64(r)) }
func (p *PF) write(r uint32, v uint32)    { p.o.Memory.Write32(p.o.BAR+uint64(r), v) }
func (p *PF) set(r uint32, bits uint32)   { p.write(r, p.read(r)|bits) }
func (p *PF) unset(r uint32, bits uint32) { p.write(r, p.read(r)&^bits) }

// wait polls until done or the time is over.
func (p *PF) wait(limit time.Duration, done func() bool) bool {
	for end := p.o.Clock.Now() + limit; !done(); p.o.Clock.Sleep(pollTime) {
		if p.o.Clock.Now() >= end {
			return false
		}
	}
	return true
}
