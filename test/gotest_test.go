package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gotestsEnv set to "all" runs Go's tests of all packages that must pass, not only of some that take little time.
const gotestsEnv = "NOM_GOTESTS"

// goPackages are packages of Go's library whose own tests pass, but for those named in cannotPass. The first ones are
// tested every time.
var goPackages = struct{ few, more []string }{
	few: []string{"sort", "strings", "errors", "container/...", "unicode/...", "slices", "maps", "encoding/json", "encoding/binary", "hash/crc32",
		"crypto/sha256", "context", "sync", "bufio", "text/template"},
	more: []string{"bytes", "strconv", "compress/flate", "compress/gzip", "crypto/aes", "hash/...", "math", "math/big", "math/rand", "sync/atomic", "time",
		"fmt", "regexp", "regexp/syntax"},
}

// cannotPass are tests that need what there is not yet, by the reason.
var cannotPass = map[string][]string{
	"a program has one process": {"TestMutexMisuse", "TestIssue76126"},
}

// TestGoPackages runs tests of Go's own library by the nom command.
func TestGoPackages(t *testing.T) {
	parts := system(t)
	packages := goPackages.few
	if os.Getenv(gotestsEnv) == "all" {
		packages = slices.Concat(packages, goPackages.more)
	}
	var skip []string
	for _, tests := range cannotPass {
		for _, name := range tests {
			skip = append(skip, "^"+name+"$")
		}
	}
	args := append([]string{"test", "--format", "json"}, packages...)
	args = append(args, "--", "-short", "-skip", strings.Join(skip, "|"))
	cmd := exec.CommandContext(t.Context(), nomCommand(t), args...)
	cmd.Env = append(os.Environ(), "NOM_SYSTEM="+parts.Dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	passed := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var r struct {
			Event, Package, Status, Note, Output string
			Code                                 int
			Seconds                              float64
		}
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("nom test printed %q: %v", out, err)
		}
		switch {
		case r.Event != "package":
		case r.Status == "fail":
			t.Errorf("%s: failed with code %d %s\n%s", r.Package, r.Code, r.Note, r.Output)
		default:
			t.Logf("%s: %s, %.1f s", r.Package, r.Status, r.Seconds)
			passed++
		}
	}
	if passed < len(packages) || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("nom test ended with code %d after %d packages that passed\n%s", cmd.ProcessState.ExitCode(), passed, said.Bytes())
	}
}

// nomCommand builds the nom command.
func nomCommand(t *testing.T) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	file := filepath.Join(sharedDir(t), "nom")
	cmd := exec.Command("go", "build", "-o", file, "./cmd/nom")
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building nom: %v\n%s", err, out)
	}
	return file
}
