package rtc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUnix(t *testing.T) {
	at := func(s string) uint64 {
		v, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(v.UnixNano())
	}
	for _, c := range []struct {
		name string
		r    Registers
		want string // "" when there is no such time
	}{
		{"BCD", Registers{0x59, 0x58, 0x23, 0x31, 0x12, 0x26, 0x20, B24}, "2026-12-31 23:58:59"},
		{"binary", Registers{59, 58, 23, 31, 12, 26, 20, B24 | BBinary}, "2026-12-31 23:58:59"},
		{"noon", Registers{0, 0, 0x12 | pm, 1, 1, 0x24, 0x20, 0}, "2024-01-01 12:00:00"},
		{"midnight", Registers{0, 0, 0x12, 1, 1, 0x24, 0x20, 0}, "2024-01-01 00:00:00"},
		{"11 p.m.", Registers{0, 0, 0x11 | pm, 1, 1, 0x24, 0x20, 0}, "2024-01-01 23:00:00"},
		{"1 p.m., binary", Registers{0, 0, 1 | pm, 1, 1, 24, 20, BBinary}, "2024-01-01 13:00:00"},
		{"no century, this one", Registers{0, 0, 0, 1, 3, 0x69, 0, B24}, "2069-03-01 00:00:00"},
		{"no century, the last", Registers{0, 0, 0, 1, 3, 0x99, 0, B24}, "1999-03-01 00:00:00"},
		{"leap day", Registers{0, 0, 0, 0x29, 2, 0x28, 0x20, B24}, "2028-02-29 00:00:00"},
		{"epoch", Registers{0, 0, 0, 1, 1, 0x70, 0x19, B24}, "1970-01-01 00:00:00"},
		{"leap day of another year", Registers{0, 0, 0, 0x29, 2, 0x27, 0x20, B24}, ""},
		{"before the epoch", Registers{0, 0, 0, 1, 1, 0x69, 0x19, B24}, ""},
		{"no digit", Registers{0x5a, 0, 0, 1, 1, 0x26, 0x20, B24}, ""},
		{"second 60", Registers{0x60, 0, 0, 1, 1, 0x26, 0x20, B24}, ""},
		{"hour 24", Registers{0, 0, 0x24, 1, 1, 0x26, 0x20, B24}, ""},
		{"hour 0 of 12", Registers{0, 0, 0, 1, 1, 0x26, 0x20, 0}, ""},
		{"hour 13 of 12", Registers{0, 0, 0x13, 1, 1, 0x26, 0x20, 0}, ""},
		{"month 0", Registers{0, 0, 0, 1, 0, 0x26, 0x20, B24}, ""},
		{"month 13", Registers{0, 0, 0, 1, 0x13, 0x26, 0x20, B24}, ""},
		{"day 0", Registers{0, 0, 0, 0, 1, 0x26, 0x20, B24}, ""},
		{"a dead clock", Registers{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ""},
	} {
		got, ok := c.r.Unix()
		if ok != (c.want != "") {
			t.Errorf("%s: ok = %v", c.name, ok)
			continue
		}
		if ok && got != at(c.want) {
			t.Errorf("%s: %d, want %d", c.name, got, at(c.want))
		}
	}
}

// Every second that a clock can show, in all four modes, is the one that package time knows.
func TestUnixAgainstTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Unix(rapid.Int64Range(0, 16_000_000_000).Draw(t, "seconds"), 0).UTC()
		b := rapid.SampledFrom([]uint8{0, B24, BBinary, B24 | BBinary}).Draw(t, "mode")
		encode := func(n int) uint8 {
			if b&BBinary != 0 {
				return uint8(n)
			}
			return uint8(n/10<<4 | n%10)
		}
		hours := encode(want.Hour())
		if b&B24 == 0 {
			h := want.Hour() % 12
			if h == 0 {
				h = 12
			}
			hours = encode(h)
			if want.Hour() >= 12 {
				hours |= pm
			}
		}
		r := Registers{encode(want.Second()), encode(want.Minute()), hours, encode(want.Day()), encode(int(want.Month())),
			encode(want.Year() % 100), encode(want.Year() / 100), b}
		if got, ok := r.Unix(); !ok || got != uint64(want.Unix())*1e9 {
			t.Fatalf("%+v = %d, %v, want %s", r, got, ok, want)
		}
	})
}

func FuzzUnix(f *testing.F) {
	f.Add(uint8(0x59), uint8(0x59), uint8(0x23), uint8(0x31), uint8(0x12), uint8(0x26), uint8(0x20), uint8(B24))
	f.Fuzz(func(t *testing.T, sec, min, hour, day, month, year, century, b uint8) {
		r := Registers{sec, min, hour, day, month, year, century, b}
		if ns, ok := r.Unix(); ok && ns/1e9 > 253402300799 {
			t.Errorf("%+v = %d s, after the year 9999", r, ns/1e9)
		}
	})
}
