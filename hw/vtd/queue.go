package vtd

// Invalidation descriptors of 128 bits, as low and high halves. 6.5.2.
const (
	typeContext   = 1
	typeIOTLB     = 2
	typeInterrupt = 4
	typeWait      = 5

	granularityGlobal = 1 << 4
	granularityDomain = 2 << 4
	granularityDevice = 3 << 4 // of IOTLB: pages
)

// DescriptorSize and QueueEntries: a queue of one page.
const (
	DescriptorSize = 16
	QueueEntries   = PageSize / DescriptorSize
)

// QueueAddress is the value of IQA for a queue of one page with descriptors of 128 bits. 11.4.9.3.
func QueueAddress(pa uint64) uint64 { return pa &^ (PageSize - 1) }

// InvalidateContexts drops all cached context entries.
func InvalidateContexts() (low, high uint64) { return typeContext | granularityGlobal, 0 }

// InvalidateContext drops what is cached of the context entry of a device that belonged to a domain.
func InvalidateContext(source, domain uint16) (low, high uint64) {
	return typeContext | granularityDevice | uint64(domain)<<16 | uint64(source)<<32, 0
}

// The draining of reads and writes that are under way, as far as the unit can do it.
const (
	drainWrites = 1 << 6
	drainReads  = 1 << 7
)

func drain(capability uint64) uint64 {
	d := uint64(0)
	if capability&CapDWD != 0 {
		d |= drainWrites
	}
	if capability&CapDRD != 0 {
		d |= drainReads
	}
	return d
}

// InvalidateTranslations drops all cached translations, and waits for the DMA that still uses them as far as the unit can.
func InvalidateTranslations(capability uint64) (low, high uint64) {
	return typeIOTLB | granularityGlobal | drain(capability), 0
}

// InvalidateDomain does the same for those of a domain.
func InvalidateDomain(capability uint64, domain uint16) (low, high uint64) {
	return typeIOTLB | granularityDomain | drain(capability) | uint64(domain)<<16, 0
}

// InvalidatePages does the same for 2^mask pages at an address that is aligned to them; only with CapPSI, and mask up to MaxMask.
func InvalidatePages(capability uint64, domain uint16, address uint64, mask uint8) (low, high uint64) {
	return typeIOTLB | granularityDevice | drain(capability) | uint64(domain)<<16, address&^(PageSize-1) | uint64(mask&0x3f)
}

// InvalidateInterrupts drops all cached IRTEs.
func InvalidateInterrupts() (low, high uint64) { return typeInterrupt, 0 }

// InvalidateInterrupt drops 2^mask of them from an index on that is aligned to them.
func InvalidateInterrupt(index uint16, mask uint8) (low, high uint64) {
	return typeInterrupt | 1<<4 | uint64(mask&0x1f)<<27 | uint64(index)<<32, 0
}

// Wait writes status to the aligned 32-bit word at an address when all descriptors before it are done. It asks for no interrupt: a
// descriptor with both requests ends QEMU.
func Wait(status uint32, at uint64) (low, high uint64) {
	const statusWrite = 1 << 5
	return typeWait | statusWrite | uint64(status)<<32, at &^ 3
}

// Kind is what a descriptor does.
type Kind uint8

// Kinds of descriptors.
const (
	KindInvalid Kind = iota
	KindContext
	KindTranslation
	KindInterrupt
	KindWait
)

// Scope is how much an invalidation drops.
type Scope uint8

// Scopes of invalidations.
const (
	ScopeAll    Scope = iota
	ScopeDomain       // of translations and contexts
	ScopeOne          // a device, pages, or entries of the interrupt table
)

// Descriptor is a descriptor taken apart, as a unit does it; for models of one. Which fields count depends on Kind and Scope.
type Descriptor struct {
	Kind    Kind
	Scope   Scope
	Domain  uint16
	Source  uint16
	Address uint64 // of pages, or where Wait writes
	Index   uint16
	Mask    uint8
	Status  uint32
}

// Decode takes a descriptor apart; KindInvalid when the unit would refuse it.
func Decode(low, high uint64) Descriptor {
	d := Descriptor{Domain: uint16(low >> 16)}
	granularity := low >> 4 & 3
	switch low & 15 {
	case typeContext:
		d.Kind, d.Source = KindContext, uint16(low>>32)
	case typeIOTLB:
		d.Kind, d.Address, d.Mask = KindTranslation, high&^(PageSize-1), uint8(high&0x3f)
	case typeInterrupt:
		d.Kind, d.Index, d.Mask = KindInterrupt, uint16(low>>32), uint8(low>>27&0x1f)
		if low>>4&1 != 0 {
			d.Scope = ScopeOne
		}
		return d
	case typeWait:
		if low>>4&3 != 2 { // neither without a status, nor with an interrupt
			return Descriptor{}
		}
		return Descriptor{Kind: KindWait, Status: uint32(low >> 32), Address: high &^ 3}
	}
	switch granularity {
	case 0:
		return Descriptor{}
	case 2:
		d.Scope = ScopeDomain
	case 3:
		d.Scope = ScopeOne
	}
	return d
}
