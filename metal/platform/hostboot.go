package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/hw/acpi"
)

// What only the bare machine needs at boot: memory from the PVH start info (Xen public/arch-x86/hvm/start_info.h), CPUs and the
// PM timer from ACPI, the real-time clock.

const (
	pvhMagic     = 0x336e_c578
	pvhRAM       = 1
	minHostPool  = 32 << 20
	maxHostPool  = 256 << 20
	lowestMemory = 1 << 20
)

var (
	apicIDs      [maxCPUs]uint64
	pmTimerPort  uint64
	acpiPM1aPort uint64
	acpiSleep    uint64 // what to write there to switch off
)

// findMemory splits memory between the platform's pool (BootPage.Free) and the nonkernel (BootPage.Managed).
func findMemory(b *abi.BootPage) {
	s := direct(b.StartInfo)
	if load32(s) != pvhMagic {
		fatal("not started by the PVH protocol")
	}
	b.RSDP = load64(s + 32)
	table, n := direct(load64(s+40)), uint64(load32(s+48))
	var ram [8]abi.Range
	count := 0
	total := uint64(0)
	for i := uint64(0); i < n && count < len(ram); i++ {
		e := table + i*24
		r := abi.Range{Addr: load64(e), Size: load64(e + 8)}
		if load32(e+16) != pvhRAM || r.Addr+r.Size <= lowestMemory {
			continue
		}
		r = above(r, max(lowestMemory, b.ImageEnd))
		total += r.Size
		b.MemoryTop = max(b.MemoryTop, (r.Addr+r.Size+hugeSize-1)&^(hugeSize-1))
		ram[count] = r
		count++
	}
	b.MemoryTop = max(b.MemoryTop, 4<<30) // devices below 4 GiB are mapped too
	if b.HostPool == 0 {
		b.HostPool = min(max(total/16, minHostPool), maxHostPool)
	}
	splitMemory(b, ram[:count])
}

// above cuts off what lies below a, at page boundaries.
func above(r abi.Range, a uint64) abi.Range {
	end := (r.Addr + r.Size) &^ (pageSize - 1)
	start := pageUp(max(r.Addr, a))
	if start >= end {
		return abi.Range{}
	}
	return abi.Range{Addr: start, Size: end - start}
}

func splitMemory(b *abi.BootPage, ram []abi.Range) {
	want := b.HostPool
	for i := range ram {
		r := ram[i]
		if k := min(want, r.Size) &^ (hugeSize - 1); k != 0 {
			b.Free[b.NumFree] = abi.Range{Addr: r.Addr, Size: k}
			b.NumFree++
			want -= k
			r.Addr += k
			r.Size -= k
		}
		if r.Size != 0 {
			b.Managed[b.NumManaged] = r
			b.NumManaged++
		}
	}
	if b.NumFree == 0 {
		fatal("not enough memory: nom needs 128 MiB beyond its image")
	}
}

// readFirmware takes CPUs, PM timer and power-off from the ACPI tables; the final page tables are in force.
func readFirmware(b *abi.BootPage) {
	if b.RSDP == 0 {
		b.RSDP, _ = acpi.FindRSDP(firmwareMemory)
	}
	t, problem := acpi.Find(firmwareMemory, b.RSDP, acpi.SigMADT)
	madt, ok := t.MADT()
	if problem != 0 || !ok {
		fatal("no usable ACPI MADT: the CPUs are unknown")
	}
	for e, at, ok := madt.Next(0); ok && b.NumCPUs < maxCPUs; e, at, ok = madt.Next(at) {
		if e.Usable() {
			apicIDs[b.NumCPUs] = uint64(e.ID)
			b.NumCPUs++
		}
	}
	t, problem = acpi.Find(firmwareMemory, b.RSDP, acpi.SigFADT)
	fadt, ok := t.FADT()
	if problem != 0 || !ok || !fadt.PMTimer.Present() {
		fatal("no ACPI PM timer: the clocks cannot be measured")
	}
	pmTimerPort = fadt.PMTimer.Address
	acpiPM1aPort = fadt.PM1aControl.Address
	if dsdt, problem := acpi.Load(firmwareMemory, fadt.DSDT); problem == 0 {
		if a, _, ok := acpi.SleepTypes(dsdt, 5); ok {
			acpiSleep = uint64(acpi.PM1Sleep(a))
		}
	}
}

// firmwareMemory is what the ACPI parser reads through.
func firmwareMemory(address, n uint64) []byte {
	if address+n < address || address+n > bootPage.MemoryTop {
		return nil
	}
	return bytesAt(direct(address), n)
}

func measureClock(b *abi.BootPage) {
	b.TSCHz, b.APICHz = calibrate(pmTimerPort)
	b.WallTSC = rdtsc()
	b.WallNanos = readRTC()
	outb(0x21, 0xff) // the 8259s stay silent
	outb(0xa1, 0xff)
}

// readRTC reads the MC146818's date and time (data sheet, "Time, calendar and alarm locations").
func readRTC() uint64 {
	for cmos(10)&0x80 != 0 {
		pause()
	}
	binary := cmos(11)&4 != 0
	value := func(reg uint64) uint64 {
		v := cmos(reg)
		if !binary {
			v = v>>4*10 + v&15
		}
		return v
	}
	return civil(2000+value(9), value(8), value(7))*86400*nanos + (value(4)*3600+value(2)*60+value(0))*nanos
}

func cmos(reg uint64) uint64 {
	outb(0x70, reg)
	return inb(0x71)
}

// civil is the number of days from 1970-01-01 to the given date of the Gregorian calendar.
func civil(y, m, d uint64) uint64 {
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468
}

func powerOffACPI() {
	if host && acpiSleep != 0 {
		outw(acpiPM1aPort, acpiSleep)
	}
}
