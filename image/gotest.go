package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"nom.dev/nom/abi/bundle"
)

// TestBinary is the compiled test of one package.
type TestBinary struct {
	ImportPath string
	Dir        string // of the package's sources: where its tests expect to run
	Path       string // of the executable; "" when the package has no tests
	Root       string // GOROOT or the module's directory
	Goroot     bool   // in the standard library
}

// Test compiles the tests of the packages that the patterns name, as go test -c, into the directory opts.Output.
func Test(ctx context.Context, patterns []string, opts BuildOptions) ([]TestBinary, error) {
	if info, err := os.Stat(opts.Output); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("building tests: the output %q is not a directory", opts.Output)
	}
	if err := checkToolchain(ctx, opts); err != nil {
		return nil, err
	}
	list, err := listPackages(ctx, patterns, opts)
	if err != nil {
		return nil, err
	}
	var tests []TestBinary
	for _, p := range list {
		names := []string{p.ImportPath}
		if p.ImportPath == "command-line-arguments" {
			names = patterns // they are files
		}
		t, err := buildTest(ctx, p, names, opts)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// buildTest compiles the test of one package, which the go command knows by names.
func buildTest(ctx context.Context, p listed, names []string, opts BuildOptions) (TestBinary, error) {
	t := TestBinary{ImportPath: p.ImportPath, Dir: p.Dir, Root: p.Root, Goroot: p.Goroot}
	if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
		return t, nil
	}
	out, err := outputFile(opts, strings.ReplaceAll(p.ImportPath, "/", "_")+".test")
	if err != nil {
		return t, fmt.Errorf("building the tests of %s: %w", p.ImportPath, err)
	}
	if _, err := opts.goCommand(ctx, opts.buildArgs("test", "-c", "-o", out), names...); err != nil {
		return t, fmt.Errorf("building the tests of %s: %w", p.ImportPath, err)
	}
	t.Path = out
	return t, CheckProgram(out)
}

// maxTestFiles bounds what Files collects, in bytes.
const maxTestFiles = 128 << 20

// Files collects what the tests of a package may read, by absolute path without the first slash: the files beside
// the sources, testdata below the package and below the directories above it, and for the standard library the time
// zones.
func (t *TestBinary) Files() ([]bundle.File, error) {
	c := collector{have: map[string]bool{}}
	err := c.addDir(t.Dir)
	for dir := t.Dir; err == nil; dir = filepath.Dir(dir) {
		err = c.addTree(filepath.Join(dir, "testdata"))
		if dir == t.Root || dir == filepath.Dir(dir) || !strings.HasPrefix(dir, t.Root) {
			break
		}
	}
	if err == nil && t.Goroot {
		err = c.addTree(filepath.Join(t.Root, "lib", "time"))
	}
	if err != nil {
		return nil, fmt.Errorf("collecting the files that the tests of %s read: %w", t.ImportPath, err)
	}
	return c.files, nil
}

// collector gathers files for a bundle, each once.
type collector struct {
	files []bundle.File
	have  map[string]bool
	size  int
}

// addDir adds a directory and the regular files directly in it.
func (c *collector) addDir(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := c.add(filepath.Join(dir, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

// addTree adds everything below a directory, if there is one.
func (c *collector) addTree(dir string) error {
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return c.add(file, e)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// add adds a file; links are followed, and what is not a regular file or a directory is left out.
func (c *collector) add(file string, e fs.DirEntry) error {
	name := strings.TrimPrefix(path.Clean(filepath.ToSlash(file)), "/")
	if c.have[name] {
		return nil
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink != 0 {
		return nil // a link to nowhere
	}
	if err != nil {
		return err
	}
	f := bundle.File{Name: name, Mode: uint32(info.Mode().Perm()), Dir: info.IsDir()}
	switch {
	case info.Mode().IsRegular():
		if f.Data, err = os.ReadFile(file); err != nil {
			return err
		}
	case !e.IsDir():
		return nil
	}
	if c.size += len(f.Data); c.size > maxTestFiles {
		return fmt.Errorf("with %s they take more than %d MiB", file, maxTestFiles>>20)
	}
	c.have[name] = true
	c.files = append(c.files, f)
	return nil
}
