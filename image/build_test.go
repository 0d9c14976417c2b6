package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		pkg  string
		opts BuildOptions
		file string // base name of the executable
		want string // what it prints
	}{
		{"package", "./testdata/hello", BuildOptions{Output: dir}, "hello", "hello\n"},
		{"tags", "./testdata/hello", BuildOptions{Output: filepath.Join(dir, "loud"), Tags: "loud"}, "loud", "HELLO\n"},
		{"directory", ".", BuildOptions{Output: dir, Dir: "testdata/hello", LDFlags: "-s -w", GCFlags: "-N -l"}, "hello", "hello\n"},
		{"import path", "nom.dev/nom/image/testdata/hello", BuildOptions{Output: dir, Flags: []string{"-trimpath"}}, "hello", "hello\n"},
		{"PIE by environment", "./testdata/hello", BuildOptions{Output: dir, Env: []string{"GOFLAGS=-buildmode=pie"}}, "hello", "hello\n"},
		{"executable", "hello", BuildOptions{Dir: dir}, "hello", "hello\n"},
	} {
		file, err := Program(t.Context(), c.pkg, c.opts)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := filepath.Base(file); got != c.file {
			t.Errorf("%s: got file %s, want %s", c.name, got, c.file)
		}
		if got, err := exec.Command(file).Output(); string(got) != c.want {
			t.Errorf("%s: the program prints %q (%v), want %q", c.name, got, err, c.want)
		}
	}
}

func TestProgramErrors(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("\x7fELF but no more"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		pkg  string
		opts BuildOptions
		want string
	}{
		{"library", "./testdata/library", BuildOptions{Output: dir}, "only a package main can be run"},
		{"several", "./testdata/hello ./testdata/library", BuildOptions{Output: dir}, "go list failed"},
		{"pattern", "./testdata/library/testdata/...", BuildOptions{Output: dir}, "names 0 packages"},
		{"missing", "./testdata/nowhere", BuildOptions{Output: dir}, "nowhere"},
		{"flag", "-toolexec=true", BuildOptions{Output: dir}, "looking up"},
		{"no output", "./testdata/hello", BuildOptions{}, "no output file"},
		{"bad flag", "./testdata/hello", BuildOptions{Output: dir, Flags: []string{"-nosuchflag"}}, "nosuchflag"},
		{"broken", "./testdata/hello", BuildOptions{Output: dir, GCFlags: "-nosuchflag"}, "go build failed"},
		{"broken executable", script, BuildOptions{}, "not an ELF file"},
		{"toolchain", "./testdata/hello", BuildOptions{Output: dir, Env: []string{"GOTOOLCHAIN=nonsense"}}, "nonsense"},
	} {
		_, err := Program(t.Context(), c.pkg, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// With a log, the messages of the go command go there as they come and not into the error again.
func TestProgramLog(t *testing.T) {
	var log bytes.Buffer
	_, err := Program(t.Context(), "./testdata/nowhere", BuildOptions{Output: t.TempDir(), Log: &log})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(log.String(), "nowhere") {
		t.Errorf("got error %v and log %q", err, &log)
	}
}

func TestProgramInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Program(ctx, "./testdata/hello", BuildOptions{Output: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestNoToolchain(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Program(t.Context(), "./testdata/hello", BuildOptions{Output: t.TempDir()})
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "install "+GoVersion) {
		t.Errorf("got error %v, want one that says to install %s", err, GoVersion)
	}
}

func TestCheckVersion(t *testing.T) {
	for _, c := range []struct {
		version string
		ok      bool
	}{
		{"go1.26", true},
		{"go1.26.8", true},
		{"go1.26.8 X:nodwarf5", true},
		{"go1.25.5", false},
		{"go1.27.0", false},
		{"go1.260", false},
		{"go1.26rc1", false},
		{"devel go1.26-abcdef", false},
		{"", false},
	} {
		if err := checkVersion(c.version); (err == nil) != c.ok {
			t.Errorf("%q: got error %v, want ok = %t", c.version, err, c.ok)
		}
	}
}

func TestExecName(t *testing.T) {
	for _, c := range []struct {
		p    listed
		want string
	}{
		{listed{ImportPath: "example.com/a/b"}, "b"},
		{listed{ImportPath: "example.com/a/v2"}, "a"},
		{listed{ImportPath: "v2"}, "v2"},
		{listed{ImportPath: "command-line-arguments", GoFiles: []string{"x.go", "y.go"}}, "x"},
	} {
		if got := c.p.execName(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.p.ImportPath, got, c.want)
		}
	}
}

func TestTest(t *testing.T) {
	dir := t.TempDir()
	tests, err := Test(t.Context(), []string{"./testdata/library", "./testdata/hello"}, BuildOptions{Output: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) != 2 || tests[0].Path == "" || tests[1].Path != "" {
		t.Fatalf("got %+v, want a test for the library and none for hello", tests)
	}
	cmd := exec.Command(tests[0].Path)
	cmd.Dir = tests[0].Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the test fails: %v\n%s", err, out)
	}
	files, err := tests[0].Files()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, f := range files {
		have[f.Name]++
		if len(f.Data) == 0 && !f.Dir {
			t.Errorf("%s is empty", f.Name)
		}
	}
	at := strings.TrimPrefix(tests[0].Dir, "/")
	for _, want := range []string{at + "/library.go", at + "/testdata/answer", filepath.Dir(at) + "/hello/main.go"} {
		if have[want] != 1 {
			t.Errorf("%s: got %d times, want once", want, have[want])
		}
	}
	if _, err := encodeBundle(files); err != nil {
		t.Error(err)
	}
}

func TestTestStandardLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a test of the standard library")
	}
	tests, err := Test(t.Context(), []string{"container/list"}, BuildOptions{Output: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	files, err := tests[0].Files()
	if err != nil {
		t.Fatal(err)
	}
	zones := false
	for _, f := range files {
		zones = zones || strings.HasSuffix(f.Name, "/lib/time/zoneinfo.zip")
	}
	if !tests[0].Goroot || !zones {
		t.Errorf("got %+v, with time zones: %t; want a package of GOROOT and its time zones", tests[0], zones)
	}
}

// Files instead of packages work as with go test.
func TestTestFiles(t *testing.T) {
	tests, err := Test(t.Context(), []string{"testdata/library/library_test.go"}, BuildOptions{Output: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) != 1 || filepath.Base(tests[0].Dir) != "library" {
		t.Fatalf("got %+v, want one test in the directory library", tests)
	}
	cmd := exec.Command(tests[0].Path)
	cmd.Dir = tests[0].Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the test fails: %v\n%s", err, out)
	}
}

func TestTestErrors(t *testing.T) {
	if _, err := Test(t.Context(), []string{"sort"}, BuildOptions{Output: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got error %v, want one about the output", err)
	}
	if _, err := Test(t.Context(), []string{"./testdata/nowhere"}, BuildOptions{Output: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got error %v, want one that names the package", err)
	}
}
