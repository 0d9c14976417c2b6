package pic

import "testing"

// chip is as much of an 8259A as initialization needs.
type chip struct {
	expect int // the next ICW, 0 when initialized
	icw    [5]uint8
	mask   uint8
}

func (c *chip) write(data bool, v uint8) {
	switch {
	case !data && v&(1<<4) != 0:
		*c = chip{expect: 2}
		c.icw[1] = v
	case data && c.expect != 0:
		c.icw[c.expect] = v
		if c.expect++; c.expect == 5 {
			c.expect = 0
		}
	case data:
		c.mask = v
	}
}

func TestSilence(t *testing.T) {
	var first, second chip
	for _, w := range Silence {
		switch w.Port {
		case Command1, Data1:
			first.write(w.Port == Data1, w.Value)
		case Command2, Data2:
			second.write(w.Port == Data2, w.Value)
		default:
			t.Errorf("a write to port %#x", w.Port)
		}
	}
	for _, c := range []struct {
		name           string
		got            chip
		vector, inputs uint8
	}{{"first", first, 0x20, 4}, {"second", second, 0x28, 2}} {
		if c.got.expect != 0 || c.got.mask != 0xff || c.got.icw != [5]uint8{0, 0x11, c.vector, c.inputs, 1} {
			t.Errorf("%s controller = %+v", c.name, c.got)
		}
		if c.vector < 32 || c.vector&7 != 0 {
			t.Errorf("%s controller: vectors from %#x", c.name, c.vector)
		}
	}
}
