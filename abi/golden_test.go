package abi

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Golden files hold one line for each field of a filled value: offset, bytes as a peer sees them, name. Elements of arrays beyond
// the second are left out of them, not of the comparison of offsets.

var update = flag.Bool("update", false, "write the golden files anew")

// fill gives every named scalar of *x a value of its own whose bytes all differ: the nth gets n at its lowest byte.
func fill(x any) {
	n := uint64(0)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).Name != "_" {
					walk(v.Field(i))
				}
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Int64:
			n++
			v.SetInt(-int64(pattern(n) >> 1))
		default:
			n++
			v.SetUint(pattern(n)) // cut off to the field's size
		}
	}
	walk(reflect.ValueOf(x).Elem())
}

// pattern is a number whose bytes tell their places: 0xF0 in the highest, then E, D, ..., each with a digit of n.
func pattern(n uint64) uint64 {
	p := uint64(0)
	for i := range uint64(8) {
		p |= ((i+8)<<4 | (n+i)&0xf) << (8 * i)
	}
	return p + n>>4<<16
}

// leaf is a scalar field of a structure.
type leaf struct {
	name         string
	offset, size uintptr
}

// describe lists the scalars of *x in order, the first two elements of each array only.
func describe(x any) []leaf {
	var list []leaf
	var walk func(name string, t reflect.Type, at uintptr)
	walk = func(name string, t reflect.Type, at uintptr) {
		switch t.Kind() {
		case reflect.Struct:
			for i := range t.NumField() {
				if f := t.Field(i); f.Name != "_" {
					walk(name+"."+f.Name, f.Type, at+f.Offset)
				}
			}
		case reflect.Array:
			for i := range min(t.Len(), 2) {
				walk(fmt.Sprintf("%s[%d]", name, i), t.Elem(), at+uintptr(i)*t.Elem().Size())
			}
		default:
			list = append(list, leaf{strings.TrimPrefix(name, "."), at, t.Size()})
		}
	}
	walk("", reflect.TypeOf(x).Elem(), 0)
	return list
}

// golden compares raw with testdata/TYPE.golden.
func golden(t *testing.T, raw []byte, leaves []leaf) {
	t.Helper()
	var b strings.Builder
	for _, l := range leaves {
		fmt.Fprintf(&b, "%#06x  % -23x  %s\n", l.offset, raw[l.offset:l.offset+l.size], l.name)
	}
	fmt.Fprintf(&b, "%#06x  end\n", len(raw))
	path := filepath.Join("testdata", filepath.Base(t.Name())+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("%s line %d: got %q, want %q: a peer would notice; raise Version, then run go test ./abi -update", path, i+1, got[min(i, len(got)-1)], line)
		}
	}
}

// TestFill: two scalars side by side must never be filled alike, or swapping them would not be noticed.
func TestFill(t *testing.T) {
	seen := map[uint64]uint64{}
	for n := uint64(1); n <= 200; n++ {
		p := pattern(n)
		if m, ok := seen[p]; ok {
			t.Errorf("scalars %d and %d are both filled with %#x", m, n, p)
		}
		seen[p] = n
		if n > 1 && uint8(p) == uint8(pattern(n-1)) {
			t.Errorf("scalar %d has the lowest byte of its neighbour", n)
		}
	}
	if got, want := pattern(1), uint64(0xf8e7d6c5b4a39281); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}
