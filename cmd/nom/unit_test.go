package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nom.dev/nom/abi/manifest"
)

func TestQuantity(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		out  string
	}{
		{"0", 0, "0"}, {"4096", 4096, "4Ki"}, {"1000", 1000, "1000"}, {"512Mi", 512 << 20, "512Mi"}, {"1.5Gi", 3 << 29, "1536Mi"},
		{"2G", 2e9, "1953125Ki"}, {"8Ti", 8 << 40, "8Ti"}, {"3k", 3000, "3000"},
	}
	for _, tt := range tests {
		var q quantity
		if err := q.Set(tt.in); err != nil || int64(q) != tt.want || q.String() != tt.out {
			t.Errorf("%s: got %d (%s), error %v, want %d (%s)", tt.in, q, q, err, tt.want, tt.out)
		}
	}
	for _, bad := range []string{"", "Mi", "1.0.0", "-1", "1/2", "1e9", "0.1", "9999999Ti", "1 Gi", "1gi", "+1", "."} {
		var q quantity
		if err := q.Set(bad); err == nil {
			t.Errorf("%q: got %d, want an error", bad, q)
		}
	}
}

func TestQuantityRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := quantity(rapid.Int64Min(0).Draw(t, "bytes"))
		var got quantity
		if err := got.Set(want.String()); err != nil || got != want {
			t.Fatalf("%d: written as %s, read as %d, error %v", int64(want), want, int64(got), err)
		}
	})
}

func TestTestArgs(t *testing.T) {
	tests := []struct {
		in      string
		want    string
		verbose bool
	}{
		{"", "", false},
		{"-run X -v", "-test.run X -test.v", true},
		{"--run=X -v=false -short", "-test.run=X -test.v=false -test.short", false},
		{"-test.v -bench . -count 2", "-test.v -test.bench . -test.count 2", true},
		{"-own 3 -args -run x", "-own 3 -run x", false},
		{"-timeout 5s", "-test.timeout 5s", false},
	}
	for _, tt := range tests {
		got, verbose, err := testArgs(strings.Fields(tt.in), time.Minute)
		want := append([]string{"-test.paniconexit0", "-test.timeout=1m0s"}, strings.Fields(tt.want)...)
		if err != nil || !slices.Equal(got, want) || verbose != tt.verbose {
			t.Errorf("%s: got %q, %v, error %v; want %q, %v", tt.in, got, verbose, err, want, tt.verbose)
		}
	}
	for name := range hostFlags {
		if _, _, err := testArgs([]string{"-" + name}, time.Minute); err == nil {
			t.Errorf("-%s: got no error", name)
		}
	}
}

func TestUnique(t *testing.T) {
	in := []string{"hello", "hello", "hello-2", "root", "", "...", "a b|c", "../x", "ünïcode", strings.Repeat("l", 100), strings.Repeat("l", 100)}
	want := []string{"hello", "hello-2", "hello-2-2", "root-2", "program", "program-2", "a_b_c", "x", "n_code", strings.Repeat("l", 48), strings.Repeat("l", 48) + "-2"}
	programs := make([]program, len(in))
	for i, name := range in {
		programs[i].name = name
	}
	unique(programs)
	for i, p := range programs {
		if p.name != want[i] {
			t.Errorf("%q: got %q, want %q", in[i], p.name, want[i])
		}
		if err := manifest.CheckName(p.name); err != nil {
			t.Error(err)
		}
	}
}

func TestProgramName(t *testing.T) {
	tests := []struct{ arg, path, want string }{
		{"./apps/hello", "nom.dev/nom/apps/hello", "hello"},
		{"x", "example.com/tool/v2", "tool"},
		{"x", "v2", "v2"},
		{"dir/server.go", "command-line-arguments", "server"},
	}
	for _, tt := range tests {
		if got := programName(tt.arg, listed{ImportPath: tt.path}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.path, got, tt.want)
		}
	}
}

// TestLines checks that however a text is cut into pieces, the same lines come out, and all bytes of it.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z]{0,5}\n?){0,20}`).Draw(t, "text")
		var b lineBuffer
		var got []string
		keep := func(line []byte) { got = append(got, string(line)) }
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			b.write([]byte(rest[:n]), keep)
			rest = rest[n:]
		}
		b.flush(keep)
		if want := slices.Collect(strings.Lines(text)); !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

func TestLongLine(t *testing.T) {
	var b lineBuffer
	var got []byte
	longest := 0
	keep := func(line []byte) { got, longest = append(got, line...), max(longest, len(line)) }
	piece := bytes.Repeat([]byte("x"), 1000)
	for range 1000 {
		b.write(piece, keep)
	}
	b.flush(keep)
	if len(got) != 1000*1000 || longest > longestLine+1000 {
		t.Errorf("got %d bytes, in pieces of up to %d", len(got), longest)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOM_HERE", "here")
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# comment\r\nA=1\r\n\n  B=x=y \nNOM_HERE\nNOM_NOT_HERE\nA=2"), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := environment([]string{file}, []string{"C=", "B=3"})
	want := []string{"A=2", "B=3", "NOM_HERE=here", "C="}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, error %v, want %q", got, err, want)
	}
	for _, bad := range []string{"=x", "", "a b=c", "A=\x00"} {
		if _, err := environment(nil, []string{bad}); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestSymbols(t *testing.T) {
	var s symbols
	s.add("hello", filepath.Join(fakeSystem(t), "root"))
	s.add("gone", filepath.Join(t.TempDir(), "nothing"))
	if len(s.tables) != 1 {
		t.Fatalf("got %d tables", len(s.tables))
	}
	var pc uint64
	for _, f := range s.tables[0].functions {
		if strings.HasSuffix(f.Name, "main.main") {
			pc = f.Value
		}
	}
	hex := strconv.FormatUint(pc, 16)
	text := "hello| pc 0x" + hex + " x\n[hello]  pc " + hex + "\nother| " + hex + "\npc " + hex + "\nhello| 0x12 deadbeefdeadbeef abcdefg\n"
	got := s.annotate(text)
	where := " [main.main main.go:3]"
	lines := strings.Split(got, "\n")
	for i, want := range []bool{true, true, false, false, false} {
		if got := strings.Contains(lines[i], where); got != want {
			t.Errorf("line %q: got %v, want %v", lines[i], got, want)
		}
	}
}

// TestRate: what --net understands, and what it says about it.
func TestRate(t *testing.T) {
	for text, want := range map[string]rate{
		"10Mbps": {bits: 10_000_000}, "1.5Gbps": {bits: 1_500_000_000}, "64kbps,2kfps": {64_000, 2000}, "300fps": {frames: 300}, "1Mibps": {bits: 1 << 20},
	} {
		var r, back rate
		if err := r.Set(text); err != nil || r != want {
			t.Errorf("%s: got %+v, %v", text, r, err)
		}
		if err := back.Set(r.String()); err != nil || back != r {
			t.Errorf("%s: is written %s, which is %+v, %v", text, r, back, err)
		}
	}
	for _, text := range []string{"", "10M", "bps", "-1bps", "0bps", "2Tbps", "1bps,2bps", "1fps,", "1Mbps 2fps", "1.5fps"} {
		if err := new(rate).Set(text); err == nil {
			t.Errorf("%q is a rate", text)
		}
	}
}
