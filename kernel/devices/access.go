package devices

import (
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/core"
	"nom.dev/nom/kernel/npt"
	"nom.dev/nom/metal"
	"nom.dev/nom/metal/call"
)

const apicID = call.StatAPICID

// registers reaches registers of devices.
type registers struct{}

func (registers) Read32(pa uint64) uint32     { return metal.Read32(pa) }
func (registers) Write32(pa uint64, v uint32) { metal.Write32(pa, v) }

// memory is firmware's, for the ACPI parser.
func memory(address, n uint64) []byte {
	top := metal.BootPage().MemoryTop
	if address > top || n > top-address {
		return nil
	}
	return metal.RangeBytes(abi.Range{Addr: address, Size: n})
}

// clock is the monotonic clock.
type clock struct{}

var start = time.Now()

func (clock) Now() time.Duration    { return time.Since(start) }
func (clock) Sleep(d time.Duration) { time.Sleep(d) }

// pages are of the nonkernel's own memory, for what belongs to no container.
type pages struct{ m *core.Machine }

func (p pages) Alloc(size uint64) (uint64, bool) {
	b, err := metal.AlignedPages(int(size/abi.PageSize), size)
	return b.Addr, err == nil
}

func (p pages) Free(pa, size uint64)         { _ = metal.Physical{Addr: pa, Size: size}.Release() }
func (p pages) Table(pa uint64) *[512]uint64 { return p.m.Table(pa) }
func (p pages) Flush(pa, size uint64)        {} // the units that nom runs on look into the caches, or are emulated

// charged are pages for which a container pays.
type charged struct{ source npt.Source }

func (p charged) Alloc(size uint64) (uint64, bool) {
	if size != abi.PageSize {
		return 0, false
	}
	return p.source.Alloc()
}

func (p charged) Free(pa, _ uint64)            { p.source.Free(pa) }
func (p charged) Table(pa uint64) *[512]uint64 { return p.source.Table(pa) }
func (p charged) Flush(pa, size uint64)        {}
