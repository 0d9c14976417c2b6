package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "nom.dev/nom"

// rooms says for each room of DESIGN.md which others it may import. A room may always import itself.
var rooms = map[string][]string{
	"abi":     {},
	"api":     {},
	"hw":      {},
	"metal":   {"abi", "hw"},
	"kernel":  {"abi", "hw", "metal"},
	"lib":     {"abi", "api", "hw", "metal"},
	"root":    {"abi", "api", "hw", "metal", "lib"},
	"apps":    {"abi", "api", "hw", "metal", "lib"},
	"uplink":  {"abi", "metal", "lib"},
	"image":   {"abi"},
	"machine": {"abi", "api"},
	"cmd":     {"abi", "api", "image", "machine"},
	"bench":   {"abi", "api", "hw", "metal", "lib", "image", "machine"},
	"test":    {"abi", "api", "hw", "metal", "lib", "image", "machine"},
	"scripts": {},
}

// ownCode are the rooms of which every line that runs on a machine is nom's own or the standard library's, so that what
// must be trusted can be read.
var ownCode = []string{"abi", "api", "hw", "metal", "kernel", "root"}

// goPackage is what go list says about a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listTree lists all packages of the module, with the files of every system.
func listTree(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.Bytes())
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		list = append(list, p)
	}
}

// room is the first folder of a package's path; "" for packages of others.
func room(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, modulePath+"/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// mayImport says whether an arrow of the import graph points the right way.
func mayImport(from, to string) bool {
	f, r := room(from), room(to)
	switch {
	case r == "" && to != modulePath: // the standard library's first element has no dot
		first, _, _ := strings.Cut(to, "/")
		return !strings.Contains(first, ".") || !slices.Contains(ownCode, f)
	case to == modulePath+"/kernel/svm": // backends are known to who chooses one, and to nobody else
		return from == modulePath+"/kernel"
	case from == modulePath+"/kernel/core" && to == modulePath+"/hw/svm":
		return false
	case f == r && (f == "apps" || f == "cmd"): // each program stands alone
		return strings.HasPrefix(to, from+"/")
	}
	return f == r || slices.Contains(rooms[f], r)
}

// testsMayImport says the same of tests, which have a few arrows more.
func testsMayImport(from, to string) bool {
	switch {
	case room(to) == "" || to == modulePath+"/test/peer": // libraries for tests
		return true
	case from == modulePath+"/kernel/core": // some simulate the processor beneath the backend
		return slices.Contains(rooms["kernel"], room(to)) || room(to) == "kernel"
	case room(from) == "api" && room(to) == "abi": // one names what the other numbers
		return true
	}
	return mayImport(from, to)
}

// TestImports reads the import graph and fails when an arrow of DESIGN.md points the wrong way.
func TestImports(t *testing.T) {
	list := listTree(t)
	if len(list) < 20 {
		t.Errorf("go list found only %d packages", len(list))
	}
	for _, p := range list {
		if rooms[room(p.ImportPath)] == nil {
			t.Errorf("%s: there is no such room: name it in ARCHITECTURE.md and in this test, with what it may import", p.ImportPath)
			continue
		}
		for _, to := range p.Imports {
			if !mayImport(p.ImportPath, to) {
				t.Errorf("%s imports %s, which %s must not", p.ImportPath, to, room(p.ImportPath))
			}
		}
		for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
			if !testsMayImport(p.ImportPath, to) {
				t.Errorf("a test of %s imports %s, which %s must not", p.ImportPath, to, room(p.ImportPath))
			}
		}
	}
}

// TestArrows tries the rules of TestImports on arrows that must never be.
func TestArrows(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"kernel", "lib/container", false}, {"lib/container", "kernel/container", false}, {"metal", "kernel", false}, {"metal", "lib/x", false},
		{"abi", "hw/cpu", false}, {"abi/layout", "abi", true}, {"hw/svm", "hw/raw", true}, {"hw/svm", "abi", false},
		{"cmd/nom", "kernel", false}, {"image", "metal", false}, {"machine", "kernel/core", false}, {"cmd/nom", "image", true},
		{"root", "lib/container", true}, {"root", "kernel", false}, {"apps/elastic", "metal", true}, {"apps/hello", "apps/primes", false},
		{"kernel/core", "kernel/svm", false}, {"kernel/container", "kernel/svm", false}, {"kernel/core", "hw/svm", false},
		{"kernel", "kernel/svm", true}, {"kernel/svm", "kernel/backend", true}, {"kernel/core", "kernel/backend", true},
		{"kernel/core", "metal", true}, {"lib/container", "root", false}, {"api", "abi", false}, {"test", "kernel/container", false},
	} {
		if got := mayImport(modulePath+"/"+c.from, modulePath+"/"+c.to); got != c.want {
			t.Errorf("%s imports %s: got allowed %v, want %v", c.from, c.to, got, c.want)
		}
	}
	if mayImport(modulePath+"/kernel", "github.com/spf13/pflag") || !mayImport(modulePath+"/cmd/nom", "github.com/spf13/pflag") {
		t.Error("the nonkernel must not import libraries of others, and the command may")
	}
}

// longestFile is how many lines a file may have.
const longestFile = 600

// TestFiles reads all sources: unsafe stands only in files that say so in their name, and no file is too long to read in
// one sitting.
func TestFiles(t *testing.T) {
	files := 0
	err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() && path != tree && (strings.HasPrefix(name, ".") || name == "bin") {
			return fs.SkipDir
		}
		ext := filepath.Ext(name)
		if e.IsDir() || ext != ".go" && ext != ".s" {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lines := bytes.Count(text, []byte("\n")); lines > longestFile {
			t.Errorf("%s has %d lines: cut it where the subject changes, %d are enough", path, lines, longestFile)
		}
		if ext == ".go" {
			checkUnsafe(t, path, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("found only %d source files", files)
	}
}

// checkUnsafe checks that a file that imports unsafe is called so, and gives its reasons.
func checkUnsafe(t *testing.T, path string, text []byte) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, imp := range parsed.Imports {
		if what, _ := strconv.Unquote(imp.Path.Value); what != "unsafe" {
			continue
		}
		stem := strings.TrimSuffix(strings.TrimSuffix(path, ".go"), "_test")
		if !strings.HasSuffix(stem, "_unsafe") {
			t.Errorf("%s imports unsafe: move what needs it to a file *_unsafe.go", path)
		}
		if !bytes.Contains(text, []byte("SAFETY:")) {
			t.Errorf("%s imports unsafe and never says why that is safe: add a comment with SAFETY:", path)
		}
	}
}
