package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/image"
)

// container is one entry of the manifest from which the root container starts its children.
type container struct {
	Name      string   `json:"name"`
	Program   string   `json:"program"` // entry of the bundle
	Files     string   `json:"files"`   // entry of the bundle, or ""
	Args      []string `json:"args"`
	Env       []string `json:"env"`
	Dir       string   `json:"dir"`
	Memory    int64    `json:"memory"` // bytes; 0 = the root container decides
	VCPUs     int      `json:"vcpus"`  // 0 = the root container decides
	Dedicated *bool    `json:"dedicated"`
	Restart   string   `json:"restart"`

	pkg  string        // to build, if elf is empty
	elf  string        // the program's file
	tree []bundle.File // its read-only files
}

// options are settings of the root container, in the manifest.
type options struct {
	Parallel int `json:"parallel,omitempty"` // how many containers run at the same time; 0 = all
}

// manifest is what the root container reads.
type manifest struct {
	Version    int          `json:"version"`
	Containers []*container `json:"containers"`
	Options    options      `json:"options"`
}

// containers makes a container for every program.
func (c *containerFlags) containers(programs []program, args []string) ([]*container, error) {
	env, err := environment(c.envFiles, c.env)
	if err != nil {
		return nil, err
	}
	if c.vcpus < 0 {
		return nil, fmt.Errorf("--vcpus %d: choose 1 or more", c.vcpus)
	}
	var dedicated *bool
	if c.fs.Changed("dedicated") {
		dedicated = &c.dedicated
	}
	var out []*container
	for _, p := range programs {
		out = append(out, &container{
			Name: p.name, Args: append([]string{p.name}, args...), Env: env, Dir: "/", Memory: int64(c.memory), VCPUs: c.vcpus,
			Dedicated: dedicated, Restart: string(c.restart), pkg: p.pkg, elf: p.file,
		})
	}
	return out, nil
}

// packer makes programs and machine images in a temporary directory.
type packer struct {
	tmp      string
	tags     string
	system   map[string]string // file of each part of the system, by its name in symbols
	programs []*container
}

// build builds the programs of the containers that have none.
func (p *packer) build(ctx context.Context, containers []*container) error {
	for _, c := range containers {
		if c.elf != "" {
			continue
		}
		c.elf = filepath.Join(p.tmp, c.Name)
		if err := p.buildProgram(ctx, c.pkg, c.elf); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) buildProgram(ctx context.Context, pkg, out string, flags ...string) error {
	return p.goTool(ctx, append([]string{"build", "-o", out}, flags...), pkg)
}

// buildTest compiles the tests of a package; found says that it has some.
func (p *packer) buildTest(ctx context.Context, pkg, out string) (found bool, err error) {
	if err := p.goTool(ctx, []string{"test", "-c", "-o", out}, pkg); err != nil {
		return false, err
	}
	_, err = os.Stat(out)
	return err == nil, nil
}

func (p *packer) goTool(ctx context.Context, args []string, pkg string) error {
	if p.tags != "" {
		args = append(args, "-tags", p.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "--", pkg)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", args[0], pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// bootable writes a machine image with the containers in it.
func (p *packer) bootable(ctx context.Context, out string, containers []*container, o options) error {
	system, err := findSystem()
	if err != nil {
		return err
	}
	p.system, p.programs = system, containers
	read := func(name string) (b []byte) {
		if err == nil {
			b, err = os.ReadFile(system[name])
		}
		return b
	}
	nonkernel, metal, root := read(nonkernelName), read(platformName), read(rootName)
	if err != nil {
		return err
	}
	files := []bundle.File{{Name: bundle.Metal, Data: metal}, {Name: bundle.Root, Data: root}}
	for _, c := range containers {
		data, err := os.ReadFile(c.elf)
		if err != nil {
			return err
		}
		c.Program = bundle.ProgramPrefix + c.Name
		files = append(files, bundle.File{Name: c.Program, Data: data, Mode: 0o755})
		if len(c.tree) == 0 {
			continue
		}
		c.Files = bundle.FilesPrefix + c.Name
		var tree bytes.Buffer
		if err := bundle.Write(&tree, c.tree); err != nil {
			return err
		}
		files = append(files, bundle.File{Name: c.Files, Data: tree.Bytes()})
	}
	m, err := json.MarshalIndent(manifest{1, containers, o}, "", "\t")
	if err != nil {
		return err
	}
	files = append(files, bundle.File{Name: bundle.Manifest, Data: m})
	var all bytes.Buffer
	if err := bundle.Write(&all, files); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	var opts image.Options
	rand.Read(opts.Seed[:])
	if err := image.Bootable(f, nonkernel, metal, all.Bytes(), opts); err != nil {
		return err
	}
	return f.Close()
}

// EnvSystem names the directory with the parts of the system: metal, kernel and root.
const envSystem = "NOM_SYSTEM"

// findSystem finds the parts of the system: they lie beside nom, as make puts them.
func findSystem() (map[string]string, error) {
	dir := os.Getenv(envSystem)
	if dir == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding nom's own directory: %w", err)
		}
		dir = filepath.Join(filepath.Dir(exe), "system")
	}
	parts := map[string]string{}
	for name, file := range map[string]string{nonkernelName: "kernel", platformName: "metal", rootName: "root"} {
		parts[name] = filepath.Join(dir, file)
		if _, err := os.Stat(parts[name]); err != nil {
			return nil, fmt.Errorf("part of the system: %w: run \"make\" in nom's source, or set %s to the directory that has it", err, envSystem)
		}
	}
	return parts, nil
}

// symbols reads the symbols of everything in the image.
func (p *packer) symbols() *symbols {
	var s symbols
	for name, file := range p.system {
		s.add(name, file)
	}
	for _, c := range p.programs {
		s.add(c.Name, c.elf)
	}
	return &s
}
