package svm

// Event is an interrupt or exception in EventInj or ExitIntInfo. APM vol. 2, 15.20.
type Event uint64

// Types of an Event.
const (
	EventINTR      = 0 // external or virtual interrupt
	EventNMI       = 2
	EventException = 3
	EventSoftware  = 4 // INTn
)

// Bits of an Event.
const (
	EventVector     = 0xff
	EventHasCode    = 1 << 11
	EventValid      = 1 << 31
	eventTypeShift  = 8
	eventErrorShift = 32
)

// Interrupt is the event of an external interrupt.
func Interrupt(vector uint8) Event { return EventValid | EventINTR<<eventTypeShift | Event(vector) }

// NonMaskable is the event of an NMI.
func NonMaskable() Event { return EventValid | EventNMI<<eventTypeShift | 2 }

// Exception is the event of an exception without error code, for example #UD.
func Exception(vector uint8) Event {
	return EventValid | EventException<<eventTypeShift | Event(vector)
}

// ExceptionCode is the event of an exception with error code, for example #GP.
func ExceptionCode(vector uint8, code uint32) Event {
	return EventValid | EventHasCode | EventException<<eventTypeShift | Event(vector) | Event(code)<<eventErrorShift
}

// Valid says that there is an event; all other bits of an invalid one are meaningless.
func (e Event) Valid() bool { return e&EventValid != 0 }

// Vector is the interrupt or exception vector.
func (e Event) Vector() uint8 { return uint8(e) }

// Type is EventINTR and so on.
func (e Event) Type() uint32 { return uint32(e) >> eventTypeShift & 7 }

// Code is the error code, if there is one.
func (e Event) Code() (uint32, bool) { return uint32(e >> eventErrorShift), e&EventHasCode != 0 }

// IOInfo is ExitInfo1 of an ExitIOIO. APM vol. 2, 15.10.2.
type IOInfo uint64

// Bits of an IOInfo.
const (
	IOIn     = 1 << 0
	IOString = 1 << 2
	IORep    = 1 << 3
	IOSize8  = 1 << 4
	IOSize16 = 1 << 5
	IOSize32 = 1 << 6
	IOAddr16 = 1 << 7
	IOAddr32 = 1 << 8
	IOAddr64 = 1 << 9
)

// Port is the first port that was touched.
func (i IOInfo) Port() uint16 { return uint16(i >> 16) }

// Bytes is the size of the access: 1, 2 or 4.
func (i IOInfo) Bytes() uint32 { return uint32(i) >> 4 & 7 }

// In says that it was IN or INS.
func (i IOInfo) In() bool { return i&IOIn != 0 }

// IsString says that it was INS or OUTS, repeated or not.
func (i IOInfo) IsString() bool { return i&IOString != 0 }

// NPFInfo is ExitInfo1 of an ExitNPF: a page fault error code and two bits more. APM vol. 2, 15.25.6.
type NPFInfo uint64

// Bits of an NPFInfo.
const (
	NPFPresent   = 1 << 0 // the nested entry was present: a violation of its rights
	NPFWrite     = 1 << 1
	NPFUser      = 1 << 2 // always set for the guest's own accesses
	NPFReserved  = 1 << 3
	NPFFetch     = 1 << 4
	NPFShadow    = 1 << 6
	NPFFinal     = 1 << 32 // while translating the guest's final physical address
	NPFPageTable = 1 << 33 // while walking the guest's page tables
)

// Segment attributes: bits 55:52 and 47:40 of a descriptor side by side. APM vol. 2, 15.5.1.
const (
	AttribType    = 0xf
	AttribS       = 1 << 4 // code or data
	AttribDPL     = 3 << 5 // SS.DPL is the guest's CPL
	AttribPresent = 1 << 7
	AttribAVL     = 1 << 8
	AttribLong    = 1 << 9
	AttribDB      = 1 << 10
	AttribG       = 1 << 11
)

// Attributes of the flat segments of a 64-bit guest in ring 0.
const (
	AttribCode64 = AttribG | AttribLong | AttribPresent | AttribS | 0xb // execute, read, accessed
	AttribData   = AttribG | AttribDB | AttribPresent | AttribS | 0x3   // read, write, accessed
	AttribTSS64  = AttribPresent | 0xb                                  // busy
	AttribLDT    = AttribPresent | 0x2
)

// Attrib packs the attributes of a segment descriptor as the VMCB keeps them.
func Attrib(descriptor uint64) uint16 {
	return uint16(descriptor>>40&0xff | descriptor>>44&0xf00)
}
