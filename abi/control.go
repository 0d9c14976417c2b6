package abi

// ControlData is how much of an answer fits into a Control, in bytes; what is longer is asked for piece by piece.
const ControlData = 1920

// Control is how a parent asks something of the platform beneath its child, one request at a time; it lies in the ConsoleRing.
// The parent writes the first line: an odd Sequence, Command and Args, then the even Sequence that follows, and then it issues
// CallNotify(child, ControlBit). The platform looks in its event interrupt. A Sequence that is even and not the one it answered
// last is a request, unless Sequence has changed when the rest was read. It writes Result, Size and Data, then Answered, and
// notifies the parent with ConsoleBit. A child may answer late, wrongly or never: the parent must treat what it writes as hostile.
type Control struct {
	Sequence uint32
	Command  uint32
	Args     [3]uint64
	_        [32]byte

	Answered uint32 // the Sequence of the request that is answered
	Size     uint32 // of Data
	Result   int64  // 0, or an error: the negative Errno
	_        [48]byte

	Data [ControlData]byte
}

// Commands of a Control.
const (
	// ControlSignal delivers a signal to the child's program, as kill(2) does on Linux: signal(number). EINVAL when it is none
	// that a program could catch.
	ControlSignal = 1 + iota
	// ControlCalls counts the program's system calls: calls(first). Data is a uint64 for the call with that number and
	// each that follows; the bit ControlMissing says that the platform has answered such a call with ENOSYS.
	ControlCalls
	// ControlRead reads the program's memory: read(address, bytes), at most ControlData. Data ends where what the program
	// may read ends. What it has mapped and not touched yet is zero.
	ControlRead
	// ControlProfile samples what the program executes: profile(a second), at most ControlRate; 0 ends it. EINVAL, ENOMEM.
	ControlProfile
	// ControlSamples takes samples out of the buffer: samples(). Data is uint64s: how many were lost since the last call, then
	// for each sample how many words it has and the words: the address that was interrupted, what lay on top of the stack (that
	// is where a function without a frame returns to; 0 = not there), and where those beneath return to, by the frame pointers,
	// innermost first. No more than fit. EINVAL when none are taken.
	ControlSamples
	// ControlCapture copies the frames that the platform's TCP/IP receives and sends: capture(bytes of each), of which it keeps
	// CapturedMost at most; 0 ends it. ENOENT when the platform has no network function: the container is in no network, or its
	// companion has the function. EBUSY when the program drives it. ENOMEM.
	ControlCapture
	// ControlFrames takes frames out of the buffer: frames(). Data is a uint64: how many were lost since the last call, with
	// ControlMore when there are frames that did not fit, then for each frame a uint64, the time in nanoseconds since 1970, uint32s, how many bytes it has and how many of them follow, and
	// these, filled up to a multiple of 8. No more than fit. EINVAL when none are captured.
	ControlFrames
)

const (
	// ControlMissing marks a call in the answer to ControlCalls.
	ControlMissing = 1 << 63
	// ControlMore marks an answer to ControlFrames after which there are more.
	ControlMore = 1 << 63
	// ControlRate is the most samples a second and vCPU.
	ControlRate = 1000
	// ControlDepth is the most words of a sample.
	ControlDepth = 32
	// CapturedHead is how many bytes stand before those of a captured frame.
	CapturedHead = 16
	// CapturedMost is the most bytes of a captured frame.
	CapturedMost = ControlData - 8 - CapturedHead
)

// ControlBit is the user event by which a parent says that there is a request in the Control.
const ControlBit = 1 << 34
