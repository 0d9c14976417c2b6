// Package uart holds the registers of the 16550 serial port.
//
// It follows the data sheet of the PC16550D (National Semiconductor, 1995), section 8. The package runs without a Go runtime:
// constants and plain functions. It never touches a port.
package uart

// First ports of the serial ports of a PC.
const (
	COM1 = 0x3f8
	COM2 = 0x2f8
	COM3 = 0x3e8
	COM4 = 0x2e8

	Ports = 8 // how many each has
)

// Registers, as offsets from the first port.
const (
	RBR = 0 // read: receiver buffer
	THR = 0 // write: transmitter holding
	IER = 1 // interrupt enable
	IIR = 2 // read: interrupt identification
	FCR = 2 // write: FIFO control
	LCR = 3 // line control
	MCR = 4 // modem control
	LSR = 5 // line status
	MSR = 6 // modem status
	SCR = 7 // scratch
	DLL = 0 // divisor, low, with LCRDivisor
	DLM = 1 // divisor, high, with LCRDivisor
)

// Bits of IER.
const (
	IERReceived    = 1 << 0
	IERTransmitted = 1 << 1
	IERLine        = 1 << 2
	IERModem       = 1 << 3
)

// Bits of IIR.
const (
	IIRNone        = 1 << 0 // nothing is pending
	IIRCause       = 7 << 1
	IIRModem       = 0 << 1
	IIRTransmitted = 1 << 1
	IIRReceived    = 2 << 1
	IIRLine        = 3 << 1
	IIRTimeout     = 6 << 1
	IIRFIFO        = 3 << 6
)

// Bits of FCR.
const (
	FCREnable        = 1 << 0
	FCRResetReceiver = 1 << 1
	FCRResetTransmit = 1 << 2
	FCRTrigger1      = 0 << 6
	FCRTrigger14     = 3 << 6
)

// FIFOSize is how many bytes may be written to THR when LSRHoldingEmpty is set and the FIFO is enabled.
const FIFOSize = 16

// Bits of LCR.
const (
	LCR8N1     = 3 // 8 bits, no parity, 1 stop bit
	LCRBreak   = 1 << 6
	LCRDivisor = 1 << 7 // DLL and DLM instead of RBR, THR and IER
)

// Bits of MCR.
const (
	MCRDTR  = 1 << 0
	MCRRTS  = 1 << 1
	MCROut2 = 1 << 3 // on a PC: lets the interrupt through
	MCRLoop = 1 << 4
)

// Bits of LSR.
const (
	LSRReady        = 1 << 0 // RBR holds a byte
	LSROverrun      = 1 << 1
	LSRParity       = 1 << 2
	LSRFraming      = 1 << 3
	LSRBreak        = 1 << 4
	LSRHoldingEmpty = 1 << 5 // THR, or with FIFO all of it, is empty
	LSRIdle         = 1 << 6
	LSRFIFOError    = 1 << 7
	LSRAbsent       = 0xff // what a port without a UART reads as
)

// Divisor is the value of DLM and DLL for a rate in baud; false when the rate is not between 2 and 115200.
func Divisor(baud uint32) (high, low uint8, ok bool) {
	const clock = 115200
	if baud < 2 || baud > clock {
		return 0, 0, false
	}
	d := (clock + baud/2) / baud
	return uint8(d >> 8), uint8(d), true
}
