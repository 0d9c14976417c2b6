package goprogram

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// build builds the program that the tests look at.
func build(t testing.TB, ldflags string) (path string, p *Program) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "target")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", path, "./testdata/target")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Open(raw); err != nil {
		t.Fatal(err)
	}
	return path, p
}

// start runs the program on Linux and reads its memory there.
func start(t *testing.T, path string) Memory {
	t.Helper()
	cmd := exec.Command(path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the program said %q, %v", line, err)
	}
	mem, err := os.Open("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/mem")
	if err != nil {
		t.Skipf("its memory cannot be read here: %v", err)
	}
	t.Cleanup(func() { mem.Close() })
	return func(_ context.Context, ranges []Range) ([][]byte, error) {
		data := make([][]byte, len(ranges))
		for i, r := range ranges {
			b := make([]byte, r.Size)
			n, _ := mem.ReadAt(b, int64(r.Address&(1<<63-1)))
			data[i] = b[:n]
		}
		return data, nil
	}
}

// The table for programs without debug information says what those with it say.
func TestLayout(t *testing.T) {
	_, p := build(t, "")
	if !strings.HasPrefix(p.Version, "go1.26") {
		t.Skipf("the table is for Go 1.26, this is %s", p.Version)
	}
	got, err := p.dwarfLayout()
	if err != nil || got != layout126 {
		t.Errorf("got %+v, %v; want %+v", got, err, layout126)
	}
}

func TestGoroutines(t *testing.T) {
	for _, ldflags := range []string{"", "-w"} {
		path, p := build(t, ldflags)
		read, end := start(t, path), time.Now().Add(time.Minute)
		for text, missing := "", "?"; missing != ""; { // until those that are about to wait do
			if text, missing = traceback(t, p, read); missing != "" && time.Now().After(end) {
				t.Fatalf("with -ldflags=%q there is no %q in\n%s", ldflags, missing, text)
			}
			if strings.Contains(text, "runtime.gopark") || strings.Contains(text, "bgsweep") {
				t.Fatalf("the runtime's own is not left out:\n%s", text)
			}
		}
	}
}

// traceback looks at the goroutines of the program, and says what it should find and does not.
func traceback(t *testing.T, p *Program, read Memory) (text, missing string) {
	t.Helper()
	list, err := p.Goroutines(t.Context(), read)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteGoroutines(&out, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"goroutine 1 [sleep]:\ntime.Sleep(...)\n", "\nmain.main(...)\n\tnom.dev/nom/cmd/nom/goprogram/testdata/target/main.go:45 ",
		" [chan receive]:\nmain.receive(...)\n", " [sync.Mutex.Lock]:\n", "\nmain.lock(...)\n", " [running]:\n\tgoroutine running on another thread",
		"\ncreated by main.main in goroutine 1\n",
	} {
		if !strings.Contains(out.String(), want) {
			return out.String(), want
		}
	}
	return out.String(), ""
}

func TestHeapProfile(t *testing.T) {
	path, p := build(t, "")
	prof, err := p.HeapProfile(t.Context(), start(t, path))
	if err != nil {
		t.Fatal(err)
	}
	out := top(t, prof)
	if err := prof.CheckValid(); err != nil || !strings.Contains(out, "main.keep") {
		t.Errorf("got %v, and not main.keep in\n%s", err, out)
	}
}

func TestCPUProfile(t *testing.T) {
	_, p := build(t, "")
	address := func(name string) uint64 { return p.lines.LookupFunc(name).Entry + 1 }
	add, finish := p.CPUProfile(100, time.Now())
	for range 30 {
		add([]uint64{address("main.spin"), address("main.main"), address("runtime.main")}) // it has no frame
	}
	middle := p.lines.LookupFunc("main.keep")
	add([]uint64{middle.End - 20, address("main.spin"), address("main.main")})
	add([]uint64{1})
	prof := finish()
	if err := prof.CheckValid(); err != nil || len(prof.Sample) != 3 || len(prof.Sample[0].Location) != 3 || len(prof.Sample[1].Location) != 2 || prof.Sample[0].Value[0] != 30 || prof.Sample[0].Value[1] != 300e6 {
		t.Errorf("got %v, %v", err, prof)
	}
	if out := top(t, prof); !strings.Contains(out, "main.spin") {
		t.Errorf("not main.spin in\n%s", out)
	}
}

// top is what go tool pprof makes of a profile.
func top(t *testing.T, prof *profile.Profile) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "profile.pb.gz")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := prof.Write(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := exec.Command("go", "tool", "pprof", "-top", file).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, out)
	}
	return string(out)
}

// FuzzMemory: whatever a program's memory holds, looking at it ends and asks for a bounded part of it.
func FuzzMemory(f *testing.F) {
	_, p := build(f, "-w")
	if err := p.loadLayout(); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0}, uint64(0x401000))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 144), gWaiting), uint64(0xc000000000))
	f.Fuzz(func(t *testing.T, junk []byte, seed uint64) {
		read := func(_ context.Context, ranges []Range) ([][]byte, error) {
			data := make([][]byte, len(ranges))
			for i, r := range ranges {
				if r.Size < 0 || r.Size > mostStack && r.Size > readAhead*page {
					t.Fatalf("%d bytes are asked for", r.Size)
				}
				for o := 0; o < r.Size && len(junk) > 0; o++ {
					data[i] = append(data[i], junk[(r.Address+uint64(o))%uint64(len(junk))])
				}
			}
			return data, nil
		}
		list := []*raw{{address: seed, moved: true}, {address: seed + 8, moved: true}}
		if err := p.readStacks(t.Context(), read, list); err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if g := p.describe(r, []string{"", "a reason"}); len(g.Stack) > mostFrames {
				t.Fatalf("%d frames", len(g.Stack))
			}
		}
		if len(junk) < 1000 { // the list of buckets may go round mostBuckets times
			_, _ = readBuckets(t.Context(), &cached{read: func(_ context.Context, ranges []Range) ([][]byte, error) {
				if seed++; seed%100 == 0 {
					return make([][]byte, 1), nil
				}
				return read(t.Context(), ranges)
			}}, seed)
		}
	})
}
