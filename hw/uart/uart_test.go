package uart

import "testing"

func TestDivisor(t *testing.T) {
	for _, c := range []struct {
		baud      uint32
		high, low uint8
		ok        bool
	}{
		{115200, 0, 1, true}, {57600, 0, 2, true}, {9600, 0, 12, true}, {300, 1, 0x80, true}, {2, 0xe1, 0, true},
		{0, 0, 0, false}, {1, 0, 0, false}, {230400, 0, 0, false},
	} {
		if high, low, ok := Divisor(c.baud); high != c.high || low != c.low || ok != c.ok {
			t.Errorf("Divisor(%d) = %#x, %#x, %v, want %#x, %#x, %v", c.baud, high, low, ok, c.high, c.low, c.ok)
		}
	}
}
