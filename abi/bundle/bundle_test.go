package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func write(t testing.TB, files ...File) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := Write(&w, files); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func sample(t testing.TB) []byte {
	return write(t,
		File{Name: "root", Data: bytes.Repeat([]byte("r"), 5000), Mode: 0o755},
		File{Name: "program/hello", Data: []byte("hello")},
		File{Name: "program/empty"},
		File{Name: "program-notes", Data: []byte("n")},
		File{Name: "var", Dir: true, Mode: 0o700},
	)
}

func TestRoundTrip(t *testing.T) {
	b := sample(t)
	o, err := Open(append(b, "bytes after the end"...))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{"program", 0, 0, 0o755, true},
		{"program-notes", 4096, 1, 0o644, false},
		{"program/empty", 8192, 0, 0o644, false},
		{"program/hello", 8192, 5, 0o644, false},
		{"root", 12288, 5000, 0o755, false},
		{"var", 0, 0, 0o700, true},
	}
	var got []Entry
	for i := range o.Len() {
		got = append(got, o.Entry(i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries:\n got %v\nwant %v", got, want)
	}
	if o.Size() != int64(len(b)) || o.Size() != 20480 {
		t.Errorf("size: got %d, want %d", o.Size(), len(b))
	}
	data, offset, ok := o.File("program/hello")
	if string(data) != "hello" || offset != 8192 || !ok || cap(data) != PageSize {
		t.Errorf("program/hello: got %q at %d, %t, capacity %d", data, offset, ok, cap(data))
	}
	if data, offset, ok := o.File("program/empty"); len(data) != 0 || offset != 8192 || !ok {
		t.Errorf("program/empty: got %q at %d, %t", data, offset, ok)
	}
	for _, name := range []string{"program", "", "/root", "roo", "root/", "zz", "program/hello\x00"} {
		if _, _, ok := o.File(name); ok {
			t.Errorf("%q: got a file, want none", name)
		}
	}
}

func TestDir(t *testing.T) {
	o, err := Open(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want []string
		ok   bool
	}{
		{"", []string{"program", "program-notes", "root", "var"}, true},
		{"program", []string{"program/empty", "program/hello"}, true},
		{"var", nil, true},
		{"root", nil, false},
		{"nowhere", nil, false},
	} {
		list, ok := o.Dir(c.name)
		var got []string
		for _, e := range list {
			got = append(got, e.Name)
		}
		if ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %t; want %q, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

// The bytes are what the package comment says. Whoever changes them breaks the platform, which reads them by hand.
func TestGolden(t *testing.T) {
	b := write(t, File{Name: "d/f", Data: []byte("x"), Mode: 0o640})
	want := make([]byte, 2*PageSize)
	copy(want, "NOMBNDL1\x02\x00\x00\x00\x00\x00\x00\x00\x00\x20")
	copy(want[64:], "d")
	copy(want[64+272:], "\xed\x01\x00\x00\x01")
	copy(want[384:], "d/f")
	copy(want[384+256:], "\x00\x10\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xa0\x01")
	want[4096] = 'x'
	if !bytes.Equal(b, want) {
		for i := range want {
			if b[i] != want[i] {
				t.Fatalf("byte %d: got %#x, want %#x", i, b[i], want[i])
			}
		}
	}
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		files []File
		want  string
	}{
		{[]File{{Name: ""}}, "relative path"},
		{[]File{{Name: "/etc/passwd"}}, "relative path"},
		{[]File{{Name: "a/../b"}}, "relative path"},
		{[]File{{Name: "."}}, "relative path"},
		{[]File{{Name: "a\x00b"}}, "NUL"},
		{[]File{{Name: strings.Repeat("n", 256)}}, "longer than 255"},
		{[]File{{Name: "a"}, {Name: "a"}}, "two files"},
		{[]File{{Name: "a"}, {Name: "a/b"}}, "would lie in it"},
		{[]File{{Name: "a", Dir: true, Data: []byte("x")}}, "directory with contents"},
		{[]File{{Name: "a", Mode: 0o4755}}, "permission bits"},
	} {
		err := Write(io.Discard, c.files)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: got error %v, want one with %q", c.files[0].Name, err, c.want)
		}
		if got := Size(c.files); got != 0 {
			t.Errorf("%.40q: got size %d, want 0", c.files[0].Name, got)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	le := binary.LittleEndian
	entry := func(b []byte, i int) []byte { return b[HeadSize+i*EntrySize:] }
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"short", func(b []byte) []byte { return b[:63] }, "header alone"},
		{"magic", func(b []byte) []byte { b[7] = '2'; return b }, "starts with"},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, "cut off"},
		{"count", func(b []byte) []byte { le.PutUint32(b[8:], 1<<31); return b }, "entries"},
		{"table", func(b []byte) []byte { le.PutUint32(b[8:], 1<<19); return b }, "does not fit"},
		{"reserved", func(b []byte) []byte { b[12] = 1; return b }, "later version"},
		{"reserved in entry", func(b []byte) []byte { entry(b, 1)[300] = 1; return b }, "reserved field"},
		{"after name", func(b []byte) []byte { entry(b, 1)[100] = 1; return b }, "reserved field"},
		{"size", func(b []byte) []byte { le.PutUint64(b[16:], 1<<63); return b }, "cut off"},
		{"odd size", func(b []byte) []byte { le.PutUint64(b[16:], 5000); return b }, "damaged"},
		{"early end", func(b []byte) []byte { le.PutUint64(b[16:], 8192); return b }, "reach beyond"},
		{"late end", func(b []byte) []byte { b = append(b, make([]byte, 4096)...); le.PutUint64(b[16:], 24576); return b }, "files end at"},
		{"order", func(b []byte) []byte { entry(b, 4)[0] = 'a'; return b }, "must sort after"},
		{"twice", func(b []byte) []byte { copy(entry(b, 3), entry(b, 2)[:256]); return b }, "must sort after"},
		{"parent", func(b []byte) []byte { copy(entry(b, 4), "x/yz"); return b }, "no directory x"},
		{"file as parent", func(b []byte) []byte { copy(entry(b, 5), "root/var"); return b }, "no directory root"},
		{"endless name", func(b []byte) []byte { copy(entry(b, 4), strings.Repeat("r", 256)); return b }, "longer than"},
		{"bad name", func(b []byte) []byte { copy(entry(b, 4), "../x"); return b }, "relative path"},
		{"offset", func(b []byte) []byte { le.PutUint64(entry(b, 4)[256:], 4096); return b }, "it lies at 4096"},
		{"length", func(b []byte) []byte { le.PutUint64(entry(b, 4)[264:], 1<<64-4096); return b }, "reach beyond"},
		{"directory with contents", func(b []byte) []byte { le.PutUint64(entry(b, 5)[264:], 1); return b }, "with contents"},
		{"flags", func(b []byte) []byte { entry(b, 5)[276] = 2; return b }, "not among those"},
		{"mode", func(b []byte) []byte { entry(b, 5)[273] = 2; return b }, "not among those"},
	} {
		_, err := Open(c.change(sample(t)))
		if err == nil || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestWriterFails(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(io.ErrShortWrite)
	if err := Write(w, []File{{Name: "a"}}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got error %v, want %v", err, io.ErrShortWrite)
	}
}

func TestFromFS(t *testing.T) {
	fsys := fstest.MapFS{
		"go.mod":         {Data: []byte("module x"), Mode: 0o600},
		"testdata/a.txt": {Data: []byte("a")},
	}
	files, err := FromFS(fsys, "src/x")
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(write(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"src", "src/x", "src/x/go.mod", "src/x/testdata", "src/x/testdata/a.txt"}
	if got := o.Names(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if e, _ := o.Lookup("src/x/go.mod"); e.Mode != 0o600 {
		t.Errorf("mode: got %#o, want 0600", e.Mode)
	}
}

func TestLookupAllocates(t *testing.T) {
	o, err := Open(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { o.File("zz"); o.search("program/hello") }); got != 0 {
		t.Errorf("got %v allocations for a look-up that finds nothing, want 0", got)
	}
}

// Whatever Open accepts is what Write makes of the same files.
func FuzzOpen(f *testing.F) {
	f.Add(sample(f))
	f.Add(write(f))
	f.Add(write(f, File{Name: "a/b/c", Data: []byte("abc")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Open(b)
		if err != nil {
			return
		}
		var files []File
		for i, name := range o.Names() {
			e := o.Entry(i)
			data, offset, ok := o.File(name)
			if ok == e.Dir || ok && offset != e.Offset {
				t.Fatalf("%s: got %t at %d, want %+v", name, ok, offset, e)
			}
			files = append(files, File{Name: name, Data: data, Mode: e.Mode, Dir: e.Dir})
		}
		again := write(t, files...)
		p, err := Open(again)
		if err != nil || p.Size() != o.Size() || !slices.Equal(p.Names(), o.Names()) {
			t.Fatalf("written again: %v; got %q, want %q", err, p.Names(), o.Names())
		}
	})
}
