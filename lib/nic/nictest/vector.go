package nictest

import (
	"encoding/binary"
	"os"
	"time"
)

// Vector is an interrupt as a file. Its Raise belongs into Device.OnRaise.
type Vector struct{ r, w *os.File }

// NewVector makes a vector. Close it.
func NewVector() (*Vector, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Vector{r, w}, nil
}

// Raise adds an interrupt.
func (v *Vector) Raise() {
	one := [8]byte{1}
	_, _ = v.w.Write(one[:]) // fails only when the test is over
}

// Read waits for an interrupt and gives how many there were, little-endian, as metal.OpenVector has it.
func (v *Vector) Read(b []byte) (int, error) {
	var all [4096]byte
	n, err := v.r.Read(all[:])
	if err != nil {
		return 0, err
	}
	return copy(b, binary.LittleEndian.AppendUint64(nil, uint64(n/8))), nil
}

// SetReadDeadline bounds Read.
func (v *Vector) SetReadDeadline(t time.Time) error { return v.r.SetReadDeadline(t) }

// Close ends a Read with an error.
func (v *Vector) Close() error {
	_ = v.w.Close()
	return v.r.Close()
}
