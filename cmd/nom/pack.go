package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/image"
)

// container is a container to start and the program in it.
type container struct {
	manifest.Container
	pkg   string        // to build, if elf is empty
	elf   string        // the program's file
	files []bundle.File // its read-only files
}

// containers makes a container for every program.
func (c *containerFlags) containers(programs []program, args []string) ([]*container, error) {
	env, err := environment(c.envFiles, c.env)
	if err != nil {
		return nil, err
	}
	var dedicated *bool
	if c.fs.Changed("dedicated") {
		dedicated = &c.dedicated
	}
	var limit *manifest.Rate
	if c.rate != (rate{}) {
		if c.nic == "" && !c.net && !c.dhcp && len(c.publish) == 0 {
			return nil, fmt.Errorf("--net limits the containers' network, and they are in none: add -p, --network, --dhcp or --nic")
		}
		limit = &manifest.Rate{Bits: c.rate.bits, Frames: c.rate.frames}
	}
	var out []*container
	for _, p := range programs {
		out = append(out, &container{pkg: p.pkg, elf: p.file, Container: manifest.Container{
			Name: p.name, Args: append([]string{p.name}, args...), Env: env, Memory: uint64(c.memory), VCPUs: c.vcpus,
			Dedicated: dedicated, Restart: string(c.restart), NIC: c.nic != "", Rate: limit,
		}})
	}
	return out, nil
}

// packer makes programs and machine images in a temporary directory.
type packer struct {
	tmp  string
	tags string

	system   *image.Parts // of the image that was made last
	programs []*container
}

// build builds the programs of the containers that have none.
func (p *packer) build(ctx context.Context, containers []*container) error {
	for _, c := range containers {
		if c.elf != "" {
			continue
		}
		file := filepath.Join(p.tmp, c.Name)
		var err error
		if c.elf, err = image.Program(ctx, c.pkg, image.BuildOptions{Output: file, Tags: p.tags}); err != nil {
			return err
		}
	}
	return nil
}

// bootable writes a machine image with the containers in it, of which so many run at the same time; 0 means all.
func (p *packer) bootable(out string, containers []*container, parallel int) error {
	var err error
	if p.system == nil {
		if p.system, err = image.System(); err != nil {
			return err
		}
	}
	p.programs = containers
	m := &manifest.Manifest{Version: manifest.Version}
	if parallel > 0 {
		m.Options = map[string]json.RawMessage{"parallel": fmt.Append(nil, parallel)}
	}
	var programs []image.ProgramFile
	for _, c := range containers {
		elf, err := os.ReadFile(c.elf)
		if err != nil {
			return fmt.Errorf("program of container %s: %w", c.Name, err)
		}
		c.Program = bundle.ProgramPrefix + c.Name
		if len(c.files) > 0 {
			c.Files = bundle.FilesPrefix + c.Name
		}
		m.Containers = append(m.Containers, c.Container)
		programs = append(programs, image.ProgramFile{Name: c.Name, ELF: elf, Files: c.files})
	}
	packed, err := image.Pack(p.system, m, programs)
	if err != nil {
		return err
	}
	return writeImage(out, p.system, packed)
}

// writeImage writes a bootable image; env is the nonkernel's.
func writeImage(out string, system *image.Parts, packed []byte, env ...string) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("machine image: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			os.Remove(out) // half an image is none
		}
	}()
	o := image.Options{Env: env}
	rand.Read(o.Seed[:])
	if os.Getenv("NOM_CHECK") != "" {
		o.Args = []string{"check"} // the nonkernel checks its invariants all the time, for tests
	}
	return image.Bootable(f, system.Kernel, system.Metal, packed, o)
}

// symbols reads the symbols of everything in the image that was made last.
func (p *packer) symbols() *symbols {
	var s symbols
	if p.system != nil {
		s.add(nonkernelName, filepath.Join(p.system.Dir, "kernel"))
		s.add(platformName, filepath.Join(p.system.Dir, "metal"))
		s.add(rootName, filepath.Join(p.system.Dir, "root"))
		s.add(uplinkName, filepath.Join(p.system.Dir, "uplink"))
	}
	for _, c := range p.programs {
		s.add(c.Name, c.elf)
	}
	return &s
}
