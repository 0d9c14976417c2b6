package acpi

import "nom.dev/nom/hw/raw"

// Address is a Generic Address Structure: a register. ACPI 6.5, 5.2.3.2.
type Address struct {
	Space    uint8 // SpaceMemory and so on
	BitWidth uint8
	BitStart uint8
	Access   uint8 // 1 byte, 2 word, 3 dword, 4 qword, 0 not said
	Address  uint64
}

// Address spaces.
const (
	SpaceMemory = 0
	SpaceIO     = 1
	SpacePCI    = 2
)

// Present says that there is such a register.
func (a Address) Present() bool { return a.Address != 0 }

func address(b []byte, at uint64) Address {
	return Address{raw.U8(b, at), raw.U8(b, at+1), raw.U8(b, at+2), raw.U8(b, at+3), raw.U64(b, at+4)}
}

// FADT is the Fixed ACPI Description Table, as far as nom needs it. ACPI 6.5, 5.2.9.
type FADT struct {
	DSDT          uint64 // physical address
	SCI           uint16 // interrupt of ACPI events
	SMICommand    uint32 // port; 0 when ACPI mode needs no switching on
	ACPIEnable    uint8  // value for SMICommand
	PM1aControl   Address
	PM1bControl   Address // most machines have none
	PMTimer       Address // counts at pmtimer.Hz
	Reset         Address // only with FlagResetRegister
	ResetValue    uint8
	SleepControl  Address // only with FlagHardwareReduced
	SleepStatus   Address // likewise
	Century       uint8   // CMOS register of the century, 0 when there is none
	BootArch      uint16  // BootLegacyDevices and so on
	Flags         uint32  // FlagTimer32 and so on
	ProfileServer bool
}

// Bits of FADT.Flags. ACPI 6.5, 5.2.9.
const (
	FlagTimer32         = 1 << 8 // the PM timer has 32 bits, else 24
	FlagResetRegister   = 1 << 10
	FlagHardwareReduced = 1 << 20 // no PM1 registers, no PM timer, no SCI
)

// Bits of FADT.BootArch. ACPI 6.5, 5.2.9.3.
const (
	BootLegacyDevices = 1 << 0
	Boot8042          = 1 << 1
	BootNoVGA         = 1 << 2
	BootNoMSI         = 1 << 3
	BootNoASPM        = 1 << 4
	BootNoRTC         = 1 << 5 // no CMOS real-time clock
)

// Bits of the PM1 control register. ACPI 6.5, 4.8.3.2.1.
const (
	PM1SCIEnable   = 1 << 0
	PM1SleepEnable = 1 << 13
	pm1SleepShift  = 10
)

// PM1Sleep is what to write to PM1 control to enter the sleep state with the given type. ACPI 6.5, 4.8.3.2.1.
func PM1Sleep(sleepType uint8) uint16 { return uint16(sleepType&7)<<pm1SleepShift | PM1SleepEnable }

// ReducedSleep is what to write to the sleep control register of a hardware-reduced machine. ACPI 6.5, 4.8.3.7.
func ReducedSleep(sleepType uint8) uint8 { return sleepType&7<<2 | 1<<5 }

// fadtMin is the length of revision 1; everything beyond it is optional.
const fadtMin = 116

// FADT decodes the table; false when it is another one. Where the table has a register both as a 32-bit port and as an
// Address, the Address wins unless it is 0.
func (t Table) FADT() (FADT, bool) {
	if t.Signature() != SigFADT || len(t) < fadtMin {
		return FADT{}, false
	}
	f := FADT{
		DSDT: uint64(raw.U32(t, 40)), SCI: raw.U16(t, 46), SMICommand: raw.U32(t, 48), ACPIEnable: raw.U8(t, 52),
		PM1aControl: port(raw.U32(t, 64), raw.U8(t, 89)), PM1bControl: port(raw.U32(t, 68), raw.U8(t, 89)), PMTimer: port(raw.U32(t, 76), raw.U8(t, 91)),
		Century: raw.U8(t, 108), BootArch: raw.U16(t, 109), Flags: raw.U32(t, 112), Reset: address(t, 116), ResetValue: raw.U8(t, 128),
		SleepControl: address(t, 244), SleepStatus: address(t, 256), ProfileServer: raw.U8(t, 45) == 4,
	}
	if x := raw.U64(t, 140); x != 0 {
		f.DSDT = x
	}
	f.PM1aControl = prefer(f.PM1aControl, address(t, 172))
	f.PM1bControl = prefer(f.PM1bControl, address(t, 184))
	f.PMTimer = prefer(f.PMTimer, address(t, 208))
	if f.Flags&FlagResetRegister == 0 {
		f.Reset = Address{}
	}
	if f.Flags&FlagHardwareReduced != 0 {
		f.PM1aControl, f.PM1bControl, f.PMTimer, f.SMICommand = Address{}, Address{}, Address{}, 0
	} else {
		f.SleepControl, f.SleepStatus = Address{}, Address{}
	}
	return f, true
}

func port(number uint32, bytes uint8) Address {
	if number == 0 {
		return Address{}
	}
	return Address{Space: SpaceIO, BitWidth: bytes * 8, Address: uint64(number)}
}

func prefer(old, extended Address) Address {
	if extended.Present() {
		return extended
	}
	return old
}
