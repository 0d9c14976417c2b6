// Package pic holds what is needed to silence the two 8259A interrupt controllers that a PC starts with, so that the APICs can
// take over.
//
// It follows Intel's data sheet 8259A (231468). In a PC the second controller hangs at input 2 of the first. The
// package runs without a Go runtime: constants and an array. It never touches a port.
package pic

// Ports. A command is written to the first, a mask to the second.
const (
	Command1 = 0x20
	Data1    = 0x21
	Command2 = 0xa0
	Data2    = 0xa1
)

// Initialization command words.
const (
	ICW1     = 1<<4 | 1<<0 // edge triggered, cascade, ICW4 follows
	ICW3At1  = 1 << 2      // a controller at input 2
	ICW3At2  = 2           // this one is at input 2
	ICW48086 = 1 << 0      // no automatic EOI
	MaskAll  = 0xff
	// Spurious interrupts (input 7) come even when everything is masked. These vectors do not collide with exceptions.
	Vector1   = 0x20
	Vector2   = 0x28
	Spurious1 = Vector1 + 7
	Spurious2 = Vector2 + 7
)

// Write is one byte to write to a port.
type Write struct {
	Port  uint16
	Value uint8
}

// Silence is what to write, in order: give both controllers vectors that are free, then mask every input.
var Silence = [...]Write{
	{Command1, ICW1}, {Data1, Vector1}, {Data1, ICW3At1}, {Data1, ICW48086},
	{Command2, ICW1}, {Data2, Vector2}, {Data2, ICW3At2}, {Data2, ICW48086},
	{Data1, MaskAll}, {Data2, MaskAll},
}
