package pmtimer

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestElapsed(t *testing.T) {
	for _, c := range []struct {
		from, to uint32
		wide     bool
		want     uint32
	}{
		{5, 9, false, 4},
		{0xff_fffe, 3, false, 5},
		{0xffff_fffe, 3, true, 5},
		{0xff_fffe, 3, true, 0xff00_0005},
		{0xabff_fffe, 0x1200_0003, false, 5}, // the upper bits of a 24-bit counter mean nothing
		{7, 7, true, 0},
	} {
		if got := Elapsed(c.from, c.to, c.wide); got != c.want {
			t.Errorf("Elapsed(%#x, %#x, %v) = %#x, want %#x", c.from, c.to, c.wide, got, c.want)
		}
	}
}

func TestConversions(t *testing.T) {
	for ticks, want := range map[uint64]uint64{0: 0, 1: 279, Hz: 1e9, 3: 838, 10 * Hz: 10e9} {
		if got := Nanoseconds(ticks); got != want {
			t.Errorf("Nanoseconds(%d) = %d, want %d", ticks, got, want)
		}
	}
	for ns, want := range map[uint64]uint64{0: 0, 1: 1, 279: 1, 280: 2, 1e9: Hz, 20e6: 71591} {
		if got := Ticks(ns); got != want {
			t.Errorf("Ticks(%d) = %d, want %d", ns, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ticks := rapid.Uint64Range(0, 500*365*86400*Hz).Draw(t, "ticks")
		exact := new(big.Int).Mul(new(big.Int).SetUint64(ticks), big.NewInt(1e9))
		exact.Div(exact, big.NewInt(Hz))
		if got := Nanoseconds(ticks); got != exact.Uint64() {
			t.Fatalf("Nanoseconds(%d) = %d, want %d", ticks, got, exact)
		}
		ns := rapid.Uint64Range(0, 1e18).Draw(t, "ns")
		if n := Ticks(ns); Nanoseconds(n) < ns || n > 0 && Nanoseconds(n-1) >= ns {
			t.Fatalf("Ticks(%d) = %d is not the least that lasts so long", ns, n)
		}
	})
}

// A clock of any rate, sampled with any delay within the samples, is measured within the bound that Rate gives.
func TestRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hz := rapid.Uint64Range(1e6, 6e9).Draw(t, "hz")
		wide := rapid.Bool().Draw(t, "wide")
		origin := rapid.Uint64Range(0, 1<<32).Draw(t, "origin") // ns
		timer := func(ns uint64) uint32 {
			v := new(big.Int).Mul(new(big.Int).SetUint64(ns), big.NewInt(Hz))
			return uint32(v.Div(v, big.NewInt(1e9)).Uint64()) & Mask(wide)
		}
		clock := func(ns uint64) uint64 {
			v := new(big.Int).Mul(new(big.Int).SetUint64(ns), new(big.Int).SetUint64(hz))
			return v.Div(v, big.NewInt(1e9)).Uint64()
		}
		sample := func(at uint64, name string) Sample {
			before, after := rapid.Uint64Range(0, 5000).Draw(t, name+" before"), rapid.Uint64Range(0, 5000).Draw(t, name+" after")
			return Sample{clock(at), timer(at + before), clock(at + before + after)}
		}
		start := sample(origin, "start")
		end := sample(origin+rapid.Uint64Range(1e4, 1e9).Draw(t, "interval"), "end")
		got, bound := Rate(start, end, wide)
		if got > hz+bound || got+bound < hz {
			t.Fatalf("Rate(%+v, %+v) = %d ± %d, want %d", start, end, got, bound, hz)
		}
	})
}

func TestRateOfNothing(t *testing.T) {
	for _, c := range [][2]Sample{
		{{1, 5, 2}, {3, 5, 4}},
		{{2, 5, 1}, {3, 6, 4}},
		{{1, 5, 2}, {4, 6, 3}},
		{{8, 5, 9}, {3, 6, 4}},
	} {
		if hz, bound := Rate(c[0], c[1], true); hz != 0 || bound != 0 {
			t.Errorf("Rate(%v, %v) = %d ± %d, want nothing", c[0], c[1], hz, bound)
		}
	}
	if !(Sample{1, 0, 3}).Narrower(Sample{1, 0, 4}) {
		t.Error("the narrower sample is not Narrower")
	}
}
