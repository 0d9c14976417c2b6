package container

import (
	"errors"
	"sync/atomic"
	"testing"

	"nom.dev/nom/abi"
)

// An answer counts only when it is to the last request, and no part of it is believed.
func TestAnswer(t *testing.T) {
	var r controller
	c := new(abi.Control)
	r.post(c, abi.ControlRead, [3]uint64{1, 2})
	if c.Sequence&1 != 0 || c.Command != abi.ControlRead || c.Args != [3]uint64{1, 2} {
		t.Errorf("got %d, %d, %v", c.Sequence, c.Command, c.Args)
	}
	if _, done, _ := r.answer(c); done {
		t.Error("nobody has answered yet")
	}
	first := c.Sequence
	r.post(c, abi.ControlRead, [3]uint64{3})
	atomic.StoreUint32(&c.Answered, first)
	if _, done, _ := r.answer(c); done {
		t.Error("that was the answer to an earlier request")
	}
	c.Answered = c.Sequence
	for _, tt := range []struct {
		size   uint32
		result int64
		want   error
	}{
		{abi.ControlData, 0, nil}, {0, 0, nil}, {abi.ControlData + 1, 0, ErrNonsense}, {1 << 31, 0, ErrNonsense}, {0, 1, ErrNonsense},
		{0, -22, abi.EINVAL}, {0, -1 << 63, nil},
	} {
		c.Size, c.Result = tt.size, tt.result
		data, done, err := r.answer(c)
		if !done || tt.want != nil && !errors.Is(err, tt.want) || err == nil && len(data) != int(tt.size) || tt.result != 0 && err == nil {
			t.Errorf("size %d, result %d: got %d bytes, %t, %v", tt.size, tt.result, len(data), done, err)
		}
	}
}
