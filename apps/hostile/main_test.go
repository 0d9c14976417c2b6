package main

import "testing"

func TestAttacks(t *testing.T) {
	names := map[string]bool{"all": true, "list": true}
	for _, a := range attacks {
		if names[a.name] || a.do == nil || a.what == "" || len(a.ends) == 0 {
			t.Errorf("attack %q: it needs a name of its own, a description, a way to do it and an end", a.name)
		}
		names[a.name] = true
	}
}

func TestInstructions(t *testing.T) {
	for _, in := range instructions {
		if b := bytes(in.code); len(b) == 0 || len(b) != len(in.code)/2 || len(in.code)%2 != 0 {
			t.Errorf("%s: %q is not machine code in hex", in.name, in.code)
		}
	}
}

// The tables of a probe, as far as they can be made on Linux.
func TestProber(t *testing.T) {
	p, err := newProber()
	if err != nil {
		t.Fatal(err)
	}
	for v := range 32 {
		stub := p.code[stubsAt+v*stubSize:]
		at := gates[2*v]&0xffff | gates[2*v]>>48<<16 | gates[2*v+1]<<32
		if stub[0] != 0xb8 || stub[1] != byte(v) || at != addressOf(stub) || gates[2*v]>>40&0xff != 0x8e || gates[2*v]>>16&0xffff != 8 {
			t.Errorf("gate %d: %#x %#x does not lead to its stub at %#x", v, gates[2*v], gates[2*v+1], addressOf(stub))
		}
	}
}
