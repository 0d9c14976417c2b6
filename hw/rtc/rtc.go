// Package rtc decodes the time that the CMOS real-time clock of a PC keeps.
//
// It follows the data sheet of the Motorola MC146818A and, for the century, the FADT (ACPI 6.5, 5.2.9). The package runs without
// a Go runtime: plain functions on integers. It never touches a port.
package rtc

// Ports. The index goes to PortIndex; its bit 7 masks the NMI.
const (
	PortIndex  = 0x70
	PortData   = 0x71
	NMIDisable = 1 << 7
)

// Registers.
const (
	RegSeconds = 0x00
	RegMinutes = 0x02
	RegHours   = 0x04
	RegDay     = 0x07 // of the month
	RegMonth   = 0x08
	RegYear    = 0x09
	RegA       = 0x0a
	RegB       = 0x0b
	RegC       = 0x0c // reading it acknowledges the interrupt
	RegD       = 0x0d
	RegCentury = 0x32 // where most machines have it; the FADT says where, or that there is none
)

// Bits of registers A, B and D.
const (
	AUpdating  = 1 << 7 // UIP: the time is about to change
	BSet       = 1 << 7
	BPeriodic  = 1 << 6
	BAlarm     = 1 << 5
	BUpdateEnd = 1 << 4
	BBinary    = 1 << 2 // else BCD
	B24        = 1 << 1 // else 12 hours with bit 7 of hours for p.m.
	DValid     = 1 << 7 // the battery is good
)

const pm = 1 << 7

// Registers is what was read. Read when AUpdating is clear, twice, until both readings are equal.
type Registers struct {
	Seconds, Minutes, Hours uint8
	Day, Month, Year        uint8
	Century                 uint8 // 0 when the machine has no such register
	B                       uint8
}

// Unix is the time in nanoseconds since 1970-01-01 00:00:00, taking the clock to run in UTC. False when the registers hold no
// date after 1970. Without a century, years from 70 are in the twentieth.
func (r Registers) Unix() (uint64, bool) {
	hour, ok := r.hour()
	if !ok {
		return 0, false
	}
	second, ok1 := r.number(r.Seconds)
	minute, ok2 := r.number(r.Minutes)
	day, ok3 := r.number(r.Day)
	month, ok4 := r.number(r.Month)
	year, ok5 := r.number(r.Year)
	century, ok6 := r.number(r.Century)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return 0, false
	}
	switch {
	case century != 0:
		year += century * 100
	case year < 70:
		year += 2000
	default:
		year += 1900
	}
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	days := daysBefore(year, month) + day - 1
	return ((days*24+hour)*60+minute)*60*1e9 + second*1e9, true
}

func (r Registers) hour() (uint64, bool) {
	if r.B&B24 != 0 {
		return r.number(r.Hours)
	}
	h, ok := r.number(r.Hours &^ pm)
	if !ok || h < 1 || h > 12 {
		return 0, false
	}
	h %= 12
	if r.Hours&pm != 0 {
		h += 12
	}
	return h, true
}

// number decodes one register: binary or two decimal digits.
func (r Registers) number(v uint8) (uint64, bool) {
	if r.B&BBinary != 0 {
		return uint64(v), v < 100
	}
	return uint64(v>>4)*10 + uint64(v&0xf), v&0xf < 10 && v>>4 < 10
}

func leap(year uint64) bool { return year%4 == 0 && year%100 != 0 || year%400 == 0 }

func daysIn(year, month uint64) uint64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if leap(year) {
			return 29
		}
		return 28
	}
	return 31
}

// daysBefore is the days from 1970-01-01 to the first of a month.
func daysBefore(year, month uint64) uint64 {
	y := year - 1
	days := (year-1970)*365 + (y/4 - y/100 + y/400) - (1969/4 - 1969/100 + 1969/400)
	for m := uint64(1); m < month; m++ {
		days += daysIn(year, m)
	}
	return days
}
