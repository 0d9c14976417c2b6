package acpi

import "nom.dev/nom/hw/raw"

// AML opcodes. ACPI 6.5, 20.3.
const (
	amlZero    = 0x00
	amlOne     = 0x01
	amlName    = 0x08
	amlByte    = 0x0a
	amlWord    = 0x0b
	amlDWord   = 0x0c
	amlPackage = 0x12
	amlRoot    = '\\'
	amlOnes    = 0xff
)

// SleepTypes looks for the definition Name (\_Sn_, Package {a, b, ...}) in the AML of a DSDT or SSDT, n from 0 to 5, and returns
// the sleep types for the PM1a and PM1b control registers. It searches bytes instead of interpreting AML: a definition that is
// computed or conditional is not found, and that is why a machine needs another way to power off. ACPI 6.5, 7.4.2.
func SleepTypes(t Table, n uint8) (a, b uint8, ok bool) {
	if len(t) < HeaderSize || n > 5 {
		return 0, 0, false
	}
	aml := t[HeaderSize:]
	name := uint32('_') | 'S'<<8 | uint32('0'+n)<<16 | '_'<<24
	for at := uint64(1); at+4 <= uint64(len(aml)); at++ {
		if raw.U32(aml, at) != name || !defines(aml, at) {
			continue
		}
		if a, b, ok = sleepPackage(aml, at+4); ok {
			return a, b, true
		}
	}
	return 0, 0, false
}

// defines says whether the name at an offset is what a Name operator defines.
func defines(aml []byte, at uint64) bool {
	if raw.U8(aml, at-1) == amlName {
		return true
	}
	return at >= 2 && raw.U8(aml, at-1) == amlRoot && raw.U8(aml, at-2) == amlName
}

// sleepPackage reads the first two elements of a package of integers.
func sleepPackage(aml []byte, at uint64) (a, b uint8, ok bool) {
	if raw.U8(aml, at) != amlPackage {
		return 0, 0, false
	}
	at++
	at += 1 + uint64(raw.U8(aml, at)>>6) // PkgLength: bits 7:6 of its first byte are how many follow. ACPI 6.5, 20.2.4
	elements := raw.U8(aml, at)
	at++
	if elements == 0 {
		return 0, 0, false
	}
	a, at, ok = integer(aml, at)
	if !ok || elements == 1 {
		return a, 0, ok
	}
	if b, _, ok = integer(aml, at); !ok {
		return 0, 0, false
	}
	return a, b, true
}

// integer reads a constant and says where the next begins. Some firmware packs both types in one larger integer; only the low
// three bits count.
func integer(aml []byte, at uint64) (uint8, uint64, bool) {
	if at >= uint64(len(aml)) {
		return 0, at, false
	}
	switch aml[at] {
	case amlZero, amlOne:
		return aml[at], at + 1, true
	case amlOnes:
		return 7, at + 1, true
	case amlByte:
		return raw.U8(aml, at+1) & 7, at + 2, at+2 <= uint64(len(aml))
	case amlWord:
		return raw.U8(aml, at+1) & 7, at + 3, at+3 <= uint64(len(aml))
	case amlDWord:
		return raw.U8(aml, at+1) & 7, at + 5, at+5 <= uint64(len(aml))
	}
	return 0, at, false
}
