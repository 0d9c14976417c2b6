package main

import (
	"fmt"
	"os"

	"nom.dev/nom/image"
)

const buildHelp = `
Without --bootable it builds one program with the stock toolchain: an ELF file that runs on nom and on Linux alike.
With --bootable it makes an image of a machine that starts the programs, for QEMU's -kernel and other PVH loaders.

  nom build -o hello.elf ./apps/hello
  nom build --bootable -o machine.elf ./apps/hello ./apps/primes -- -v
  nom build --bootable --dhcp ./server
`

func build(a *app, args []string) error {
	fs := a.flagSet("build", buildHelp)
	var out string
	var bootable bool
	var cf containerFlags
	fs.StringVarP(&out, "output", "o", "", "`file` to write; default: the program's name with .elf")
	fs.BoolVar(&bootable, "bootable", false, "make the image of a machine")
	cf.add(fs)
	if err := a.parse(fs, args); err != nil {
		return err
	}
	names, progArgs := splitArgs(fs)
	if len(names) == 0 && !bootable {
		names = []string{"."}
	}
	programs, err := resolve(a.ctx, names, cf.tags)
	if err != nil {
		return err
	}
	if bootable {
		return a.buildImage(&cf, programs, progArgs, out)
	}
	switch {
	case len(programs) != 1:
		return fmt.Errorf("one program at a time, and this names %d: build them one by one, or a machine with --bootable", len(programs))
	case len(progArgs) > 0:
		return fmt.Errorf("arguments after -- are for --bootable")
	case programs[0].file != "":
		return fmt.Errorf("%s is built already", programs[0].file)
	}
	if out == "" {
		out = programs[0].name + ".elf"
	}
	_, err = image.Program(a.ctx, programs[0].pkg, image.BuildOptions{Output: out, Tags: cf.tags})
	return err
}

// buildImage writes a machine image with the programs in it.
func (a *app) buildImage(cf *containerFlags, programs []program, args []string, out string) error {
	if len(programs) == 0 {
		return fmt.Errorf("no program for the machine to start: see \"nom build --help\"")
	}
	if out == "" {
		out = "machine.elf"
	}
	containers, err := cf.containers(programs, args)
	if err != nil {
		return err
	}
	if len(cf.publish) != 0 {
		return fmt.Errorf("-p: an image publishes no ports, who boots it does: leave it away")
	}
	if _, err := cf.network(containers); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "nom-")
	if err != nil {
		return fmt.Errorf("directory for the programs: %w", err)
	}
	defer os.RemoveAll(tmp)
	p := &packer{tmp: tmp, tags: cf.tags}
	if err := p.build(a.ctx, containers); err != nil {
		return err
	}
	return p.bootable(out, containers, 0)
}
