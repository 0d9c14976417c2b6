package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// buildImage builds the platform as the Makefile does, once for all tests, and returns the path of the ELF file.
var buildImage = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "platform")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "metal")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-T 0x70001000 -E main.entry", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := buildImage(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func openImage(t *testing.T) *elf.File {
	t.Helper()
	path, err := buildImage()
	if err != nil {
		t.Fatalf("building the platform: %v", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// ours tells whether a symbol belongs to the platform or the packages it uses.
func ours(name string) bool {
	return strings.HasPrefix(name, "main.") || strings.HasPrefix(name, "nom.dev/nom/")
}

// leaves are functions of the runtime that need nothing of it: assembly without a stack check.
var leaves = []string{
	"runtime.memmove", "runtime.memclrNoHeapPointers", "runtime.memequal", "runtime.cmpstring", "runtime.duffzero", "runtime.duffcopy",
	"runtime.memequal64", "runtime.memequal32", "runtime.memequal128",
	"internal/bytealg.IndexByte", "internal/bytealg.IndexByteString", "internal/bytealg.Compare",
}

// unreached are functions that correct platform code does not reach: the stack limit of the fake g is 0, the write barrier of a
// collector that never runs is off, and the panics are bugs of the platform, which end in a dump.
var unreached = regexp.MustCompile(`^runtime\.(morestack.*|gcWriteBarrier[1-8]|wbMove|wbZero|panic(Bounds|Index|Slice|divide|shift|mem|unsafeslicelen|unsafeslicenilptr|unsafestringlen|unsafestringnilptr).*)$`)

var callLine = regexp.MustCompile(`\s(CALL|JMP|J[A-Z]+) (\S+)\(SB\)`)

// The platform's code runs without a Go runtime: it must not call into it.
func TestCalls(t *testing.T) {
	openImage(t)
	path, _ := buildImage()
	out, err := exec.Command("go", "tool", "objdump", "-s", `^(main\.|nom\.dev/nom/)`, path).Output()
	if err != nil {
		t.Fatalf("go tool objdump: %v", err)
	}
	function, functions := "", 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, "TEXT "); ok {
			function, _, _ = strings.Cut(text, "(SB)")
			functions++
			continue
		}
		if strings.Contains(line, "CALL 0x") {
			t.Errorf("%s calls an address without a name: %s", function, line)
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		target := strings.TrimSuffix(m[2], ".abi0")
		if plus := strings.IndexByte(target, '+'); plus > 0 {
			target = target[:plus]
		}
		if !ours(target) && !slices.Contains(leaves, target) && !unreached.MatchString(target) {
			t.Errorf("%s calls %s, which needs a running Go runtime", function, target)
		}
	}
	if functions < 300 {
		t.Errorf("got %d functions of the platform, expected hundreds: is the pattern wrong?", functions)
	}
}

// Nobody runs initialisation: everything must be laid out by the linker.
func TestNoInit(t *testing.T) {
	symbols, err := openImage(t).Symbols()
	if err != nil {
		t.Fatal(err)
	}
	entry := false
	for _, s := range symbols {
		entry = entry || s.Name == "main.entry" || s.Name == "main.entry.abi0"
		if ours(s.Name) && (strings.Contains(s.Name, "..inittask") || regexp.MustCompile(`\.init(\.\d+)?$`).MatchString(s.Name)) {
			t.Errorf("%s would have to run before the platform does: initialise with constants, or at boot", s.Name)
		}
	}
	if !entry {
		t.Error("no symbol main.entry in the image: the others cannot be trusted either")
	}
}

// Pages are never both writable and executable.
func TestSegments(t *testing.T) {
	f := openImage(t)
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X {
			t.Errorf("the segment at %#x is writable and executable", p.Vaddr)
		}
	}
	if got, want := f.Entry, uint64(0x7000_1000); got < want || got >= want+16<<20 {
		t.Errorf("entry: got %#x, want an address in the text from %#x on", got, want)
	}
}

// maxPrivate bounds what each container has of the platform for itself. Most of it is touched by few programs, and memory
// that is not touched costs nothing.
const maxPrivate = 512 << 10

func TestPrivateMemory(t *testing.T) {
	f := openImage(t)
	total := uint64(0)
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_W != 0 {
			total += p.Memsz
		}
	}
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	symbols = slices.DeleteFunc(symbols, func(s elf.Symbol) bool {
		return elf.ST_TYPE(s.Info) != elf.STT_OBJECT || int(s.Section) >= len(f.Sections) || f.Sections[s.Section].Flags&elf.SHF_WRITE == 0
	})
	slices.SortFunc(symbols, func(a, b elf.Symbol) int { return int(b.Size) - int(a.Size) })
	t.Logf("%d bytes of data and bss", total)
	for _, s := range symbols[:20] {
		t.Logf("%8d %s", s.Size, s.Name)
	}
	if total > maxPrivate {
		t.Errorf("got %d bytes of data and bss, want at most %d", total, maxPrivate)
	}
}
