package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"nom.dev/nom/abi/layout"
)

// GoVersion is the release of Go whose runtime the platform knows: any patch release of it will do.
const GoVersion = "go1.26"

// goVersion matches what "go env GOVERSION" prints for a released toolchain of GoVersion.
var goVersion = regexp.MustCompile(`^go1\.26(\.\d+)?( |$)`)

// BuildOptions are the settings with which the stock toolchain builds a program or a test.
type BuildOptions struct {
	Output  string // file or existing directory to write to
	Dir     string // where the package is looked up; "" = the working directory
	Tags    string // as -tags of go build
	LDFlags string
	GCFlags string
	Flags   []string  // further flags of go build, such as -trimpath
	Env     []string  // added to the environment of the go command
	Log     io.Writer // what the go command says, as it says it; nil = only in errors

	Unchecked bool // do not check that the result is a program: it is the platform
}

// Program builds a main package and returns the path of the executable. An executable file instead of a package is
// checked and returned as it is.
func Program(ctx context.Context, pkg string, opts BuildOptions) (string, error) {
	file := pkg
	if !filepath.IsAbs(pkg) {
		file = filepath.Join(opts.Dir, pkg)
	}
	if isELF(file) {
		return file, CheckProgram(file)
	}
	if err := checkToolchain(ctx, opts); err != nil {
		return "", err
	}
	list, err := listPackages(ctx, []string{pkg}, opts)
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", fmt.Errorf("building %s: it names %d packages: name one", pkg, len(list))
	}
	if p := list[0]; p.Name != "main" {
		return "", fmt.Errorf("building %s: %s is package %s: only a package main can be run", pkg, p.ImportPath, p.Name)
	}
	out, err := outputFile(opts, list[0].execName())
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	if _, err := opts.goCommand(ctx, append(opts.buildArgs("build", "-o", out), "--"), pkg); err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	if opts.Unchecked {
		return out, nil
	}
	return out, CheckProgram(out)
}

// CheckProgram checks that an executable can run on the platform. The error says how to build it.
func CheckProgram(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := layout.CheckProgram(b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// isELF tells an executable from a package or a Go source file.
func isELF(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// outputFile is the absolute path to build to. The go command runs in another directory, perhaps.
func outputFile(opts BuildOptions, name string) (string, error) {
	if opts.Output == "" {
		return "", errors.New("no output file is given")
	}
	out, err := filepath.Abs(opts.Output)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		out = filepath.Join(out, name)
	}
	return out, nil
}

// checkToolchain checks the version of the go command that would build, with GOTOOLCHAIN and go.mod honoured.
func checkToolchain(ctx context.Context, opts BuildOptions) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("looking for the Go toolchain: %w: install %s and put its go command in PATH", err, GoVersion)
	}
	out, err := opts.goCommand(ctx, []string{"env", "GOVERSION"})
	if err != nil {
		return fmt.Errorf("asking the Go toolchain for its version: %w", err)
	}
	return checkVersion(strings.TrimSpace(string(out)))
}

func checkVersion(version string) error {
	if goVersion.MatchString(version) {
		return nil
	}
	return fmt.Errorf("the Go toolchain is %q, and the platform needs a release of %s: install it, or set GOTOOLCHAIN=%s.0 or later of that release",
		version, GoVersion, GoVersion)
}

// listed is what "go list" says about a package.
type listed struct {
	ImportPath   string
	Name         string
	Dir          string
	Root         string // GOROOT or the module's directory
	Goroot       bool
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// execName is the name that go build would give the executable, nearly: for files, that of the first.
func (p *listed) execName() string {
	if p.ImportPath == "command-line-arguments" && len(p.GoFiles) > 0 {
		return strings.TrimSuffix(p.GoFiles[0], ".go")
	}
	dir, name := path.Split(p.ImportPath)
	if versionElement.MatchString(name) && dir != "" {
		name = path.Base(dir)
	}
	return name
}

var versionElement = regexp.MustCompile(`^v[0-9]+$`)

func listPackages(ctx context.Context, patterns []string, opts BuildOptions) ([]listed, error) {
	args := []string{"list", "-json=ImportPath,Name,Dir,Root,Goroot,GoFiles,TestGoFiles,XTestGoFiles"}
	if opts.Tags != "" {
		args = append(args, "-tags="+opts.Tags)
	}
	out, err := opts.goCommand(ctx, append(args, "--"), patterns...)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", strings.Join(patterns, " "), err)
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("looking up %s: reading what go list prints: %w", strings.Join(patterns, " "), err)
		}
		list = append(list, p)
	}
}

// buildArgs puts the flags of a build behind a verb of the go command.
func (o *BuildOptions) buildArgs(verb ...string) []string {
	args := append(verb, "-buildmode=exe")
	for _, f := range []struct{ name, value string }{{"-tags", o.Tags}, {"-ldflags", o.LDFlags}, {"-gcflags", o.GCFlags}} {
		if f.value != "" {
			args = append(args, f.name+"="+f.value)
		}
	}
	return append(args, o.Flags...)
}

// goCommand runs the go command and returns what it prints on standard output.
func (o *BuildOptions) goCommand(ctx context.Context, args []string, packages ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = o.Dir
	cmd.Env = append(append(os.Environ(), o.Env...), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if o.Log != nil {
		cmd.Stderr = io.MultiWriter(&said, o.Log)
	}
	err := cmd.Run()
	switch {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("go %s was interrupted: %w", args[0], ctx.Err())
	case o.Log != nil || said.Len() == 0:
		return nil, fmt.Errorf("go %s failed: %w", args[0], err)
	}
	return nil, fmt.Errorf("go %s failed: %w\n%s", args[0], err, bytes.TrimSpace(said.Bytes()))
}
