package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/layout"
	"nom.dev/nom/abi/manifest"
)

// SystemEnv names the environment variable with the directory of nom's own parts.
const SystemEnv = "NOM_SYSTEM"

// Parts are nom's own programs: ELF files.
type Parts struct {
	Dir    string
	Metal  []byte // the platform
	Kernel []byte // the nonkernel
	Root   []byte // the root container's program
	Uplink []byte // the companion of programs that are in a network
}

// System reads nom's own parts from the directory that SystemEnv names, or from system/ beside the running executable.
func System() (*Parts, error) {
	dir := os.Getenv(SystemEnv)
	if dir == "" {
		exe, err := os.Executable()
		if err == nil {
			exe, err = filepath.EvalSymlinks(exe)
		}
		if err != nil {
			return nil, fmt.Errorf("looking for nom's own parts beside its executable: %w: set %s to their directory", err, SystemEnv)
		}
		dir = filepath.Join(filepath.Dir(exe), "system")
	}
	return ReadSystem(dir)
}

// ReadSystem reads nom's own parts from a directory.
func ReadSystem(dir string) (*Parts, error) {
	p := &Parts{Dir: dir}
	for _, part := range []struct {
		name string
		to   *[]byte
	}{{"metal", &p.Metal}, {"kernel", &p.Kernel}, {"root", &p.Root}, {"uplink", &p.Uplink}} {
		b, err := os.ReadFile(filepath.Join(dir, part.name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("nom's own part %q is not in %s: run make in nom's source tree, or set %s to the directory that has metal, kernel, root and uplink",
				part.name, dir, SystemEnv)
		}
		if err != nil {
			return nil, fmt.Errorf("reading nom's own part %q: %w", part.name, err)
		}
		*part.to = b
	}
	return p, nil
}

// ProgramFile is a program to put into an image.
type ProgramFile struct {
	Name  string // the container refers to it as program/NAME
	ELF   []byte
	Files []bundle.File // read-only files, as files/NAME; may be empty
}

// Pack makes the bundle of a machine image: the system's parts, the manifest and the programs. Every container must
// refer to a program that is given.
func Pack(system *Parts, m *manifest.Manifest, programs []ProgramFile) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	files := []bundle.File{
		{Name: bundle.Metal, Data: system.Metal, Mode: 0o755},
		{Name: bundle.Root, Data: system.Root, Mode: 0o755},
		{Name: bundle.Manifest, Data: text},
	}
	_, managed := m.Options[manifest.Manage]
	if managed || slices.ContainsFunc(m.Containers, func(c manifest.Container) bool { return c.Network != nil }) {
		files = append(files, bundle.File{Name: bundle.Uplink, Data: system.Uplink, Mode: 0o755})
	}
	for _, p := range programs {
		more, err := p.pack()
		if err != nil {
			return nil, fmt.Errorf("packing program %s: %w", p.Name, err)
		}
		files = append(files, more...)
	}
	if err := checkReferences(m, files); err != nil {
		return nil, err
	}
	return encodeBundle(files)
}

// pack makes the entries of one program.
func (p *ProgramFile) pack() ([]bundle.File, error) {
	if err := manifest.CheckName(p.Name); err != nil {
		return nil, err
	}
	if err := layout.CheckProgram(p.ELF); err != nil {
		return nil, err
	}
	files := []bundle.File{{Name: bundle.ProgramPrefix + p.Name, Data: p.ELF, Mode: 0o755}}
	if len(p.Files) == 0 {
		return files, nil
	}
	sub, err := encodeBundle(p.Files)
	if err != nil {
		return nil, err
	}
	return append(files, bundle.File{Name: bundle.FilesPrefix + p.Name, Data: sub}), nil
}

// checkReferences checks that what the containers refer to is there.
func checkReferences(m *manifest.Manifest, files []bundle.File) error {
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name] = true
	}
	for _, c := range m.Containers {
		if !have[c.Program] {
			return fmt.Errorf("container %s runs %s, which is not among the programs given", c.Name, c.Program)
		}
		if c.Files != "" && !have[c.Files] {
			return fmt.Errorf("container %s reads %s, and no files are given for that program", c.Name, c.Files)
		}
	}
	return nil
}

func encodeBundle(files []bundle.File) ([]byte, error) {
	var w bytes.Buffer
	w.Grow(int(bundle.Size(files)))
	err := bundle.Write(&w, files)
	return w.Bytes(), err
}
