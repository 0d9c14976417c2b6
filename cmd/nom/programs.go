package main

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
	"strconv"
	"strings"

	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/image"
)

// program is one that the command line names.
type program struct {
	name string // unique; what its container is called
	file string // an ELF file that is there, or
	pkg  string // the import path (or file path) of a package to build
}

// resolve finds out what the arguments of boot and build mean.
func resolve(ctx context.Context, args []string, tags string) ([]program, error) {
	var programs []program
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(arg, ".go") {
			if err := image.CheckProgram(arg); err != nil {
				return nil, withCode(codeNotExecutable, err)
			}
			name := strings.TrimSuffix(filepath.Base(arg), ".elf")
			programs = append(programs, program{name: name, file: arg})
			continue
		}
		pkgs, err := goList(ctx, []string{arg}, tags)
		if err != nil {
			return nil, err
		}
		several := strings.Contains(arg, "...")
		found := len(programs)
		for _, p := range pkgs {
			switch {
			case p.Error != nil && p.Name != "main":
				return nil, withCode(codeNotFound, fmt.Errorf("%s is neither an ELF file nor a Go package that can be built: %s", arg, p.Error.Err))
			case p.Name == "main":
				target := arg
				if several {
					target = p.ImportPath
				}
				programs = append(programs, program{name: programName(arg, p), pkg: target})
			case !several:
				return nil, withCode(codeNotExecutable, fmt.Errorf("%s is package %s: only a package main is a program", arg, p.Name))
			}
		}
		if len(programs) == found {
			return nil, withCode(codeNotFound, fmt.Errorf("%s: there is no program there", arg))
		}
	}
	unique(programs)
	return programs, nil
}

// listed is a package, as go list describes it.
type listed struct {
	Dir, Root, ImportPath, Name string
	Standard                    bool
	TestGoFiles                 []string
	XTestGoFiles                []string
	Error                       *struct{ Err string }
}

// goList asks the go command about packages, as they are for a nom machine.
func goList(ctx context.Context, patterns []string, tags string) ([]listed, error) {
	args := []string{"list", "-e", "-json=Dir,Root,ImportPath,Name,Standard,TestGoFiles,XTestGoFiles,Error"}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(append(args, "--"), patterns...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("the go command was not found: install Go and put it in PATH")
	}
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", strings.Join(patterns, " "), err, stderr.Bytes())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("what go list said: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// programName is what go build would call the program: the last part of the import path that is not a major version, or
// the name of the file.
func programName(arg string, p listed) string {
	if strings.HasSuffix(arg, ".go") {
		return strings.TrimSuffix(filepath.Base(arg), ".go")
	}
	name := path.Base(p.ImportPath)
	if majorVersion.MatchString(name) && path.Dir(p.ImportPath) != "." {
		name = path.Base(path.Dir(p.ImportPath))
	}
	return name
}

// maxName is the longest name of a container: the nonkernel keeps 64 bytes, and a number may be added.
const maxName = 48

// unique makes names that containers can have, each different: the second hello is called hello-2.
func unique(programs []program) {
	taken := map[string]bool{nonkernelName: true, platformName: true, rootName: true, uplinkName: true}
	for i := range programs {
		p := &programs[i]
		name := cleanName(p.name)
		p.name = name
		for n := 2; taken[p.name]; n++ {
			p.name = name + "-" + strconv.Itoa(n)
		}
		taken[p.name] = true
	}
}

// cleanName replaces what the name of a container must not have; see manifest.CheckName.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if manifest.CheckName("x"+string(r)) != nil {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimLeft(name, "._-")
	name = name[:min(len(name), maxName)]
	if manifest.CheckName(name) != nil {
		return "program"
	}
	return name
}
