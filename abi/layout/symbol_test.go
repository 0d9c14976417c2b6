package layout

import (
	"os"
	"testing"
)

func TestSymbol(t *testing.T) {
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := symbol(b, "no such symbol"); got != 0 {
		t.Errorf("a missing symbol has the value %#x", got)
	}
	for _, n := range []int{0, 10, 63, 64, 1000, len(b) - 1} { // cut off: no panic
		symbol(b[:n], "main.main")
	}
}

func FuzzSymbol(f *testing.F) {
	f.Add([]byte("\x7fELF"), "x")
	f.Fuzz(func(t *testing.T, b []byte, name string) { symbol(b, name) })
}
