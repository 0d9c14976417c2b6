package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/layout/layouttest"
	"nom.dev/nom/abi/manifest"
)

func writeParts(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("the "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSystem(t *testing.T) {
	dir := t.TempDir()
	writeParts(t, dir, "metal", "kernel", "root", "uplink")
	t.Setenv(SystemEnv, dir)
	p, err := System()
	if err != nil {
		t.Fatal(err)
	}
	if string(p.Metal) != "the metal" || string(p.Kernel) != "the kernel" || string(p.Root) != "the root" || p.Dir != dir {
		t.Errorf("got %q, %q, %q from %s", p.Metal, p.Kernel, p.Root, p.Dir)
	}
}

func TestSystemMissing(t *testing.T) {
	dir := t.TempDir()
	writeParts(t, dir, "metal", "root")
	t.Setenv(SystemEnv, dir)
	if _, err := System(); err == nil || !strings.Contains(err.Error(), `"kernel"`) || !strings.Contains(err.Error(), "run make") {
		t.Errorf("got error %v, want one about the kernel that says to run make", err)
	}
	t.Setenv(SystemEnv, "")
	if _, err := System(); err == nil || !strings.Contains(err.Error(), "system") {
		t.Errorf("got error %v, want one about the directory beside the executable", err)
	}
}

func demo() (*Parts, *manifest.Manifest, []ProgramFile) {
	system := &Parts{Metal: layouttest.Platform(), Kernel: layouttest.Program(), Root: layouttest.Program()}
	m := &manifest.Manifest{Version: manifest.Version, Containers: []manifest.Container{
		{Name: "one", Program: "program/hello", Args: []string{"hello"}},
		{Name: "two", Program: "program/hello", Files: "files/hello", Args: []string{"hello", "-x"}},
	}}
	programs := []ProgramFile{{Name: "hello", ELF: layouttest.Program(), Files: []bundle.File{{Name: "etc/motd", Data: []byte("hi")}}}}
	return system, m, programs
}

func TestPack(t *testing.T) {
	system, m, programs := demo()
	b, err := Pack(system, m, programs)
	if err != nil {
		t.Fatal(err)
	}
	o, err := bundle.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"files", "files/hello", "manifest.json", "metal", "program", "program/hello", "root"}
	if got := o.Names(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	text, _, _ := o.File(bundle.Manifest)
	if got, err := manifest.Parse(text); err != nil || len(got.Containers) != 2 || got.Containers[1].Args[1] != "-x" {
		t.Errorf("manifest: got %+v, %v", got, err)
	}
	sub, offset, _ := o.File("files/hello")
	s, err := bundle.Open(sub)
	if err != nil || offset%bundle.PageSize != 0 {
		t.Fatalf("files of hello at %d: %v", offset, err)
	}
	if data, _, _ := s.File("etc/motd"); string(data) != "hi" {
		t.Errorf("etc/motd: got %q, want hi", data)
	}
}

// TestPackManaged: who serves the management API needs a companion.
func TestPackManaged(t *testing.T) {
	system, m, programs := demo()
	m.Options = map[string]json.RawMessage{manifest.Manage: []byte(`{}`)}
	b, err := Pack(system, m, programs)
	if err != nil {
		t.Fatal(err)
	}
	o, err := bundle.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := o.File(bundle.Uplink); !ok {
		t.Errorf("no %s in %q", bundle.Uplink, o.Names())
	}
}

func TestPackErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *manifest.Manifest, p []ProgramFile)
		want   string
	}{
		{"version", func(m *manifest.Manifest, p []ProgramFile) { m.Version = 9 }, "version 9"},
		{"program", func(m *manifest.Manifest, p []ProgramFile) { m.Containers[0].Program = "program/x" }, "not among the programs"},
		{"files", func(m *manifest.Manifest, p []ProgramFile) { p[0].Files = nil }, "no files are given"},
		{"name", func(m *manifest.Manifest, p []ProgramFile) { p[0].Name = "a/b" }, "letters, digits"},
		{"ELF", func(m *manifest.Manifest, p []ProgramFile) { p[0].ELF = []byte("x") }, "program hello: layout: the program"},
		{"file", func(m *manifest.Manifest, p []ProgramFile) { p[0].Files[0].Name = "/etc" }, "relative path"},
	} {
		system, m, programs := demo()
		c.change(m, programs)
		if _, err := Pack(system, m, programs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
	system, m, programs := demo()
	if _, err := Pack(system, m, append(programs, programs...)); err == nil || !strings.Contains(err.Error(), "two files") {
		t.Errorf("twice: got error %v, want one about two files", err)
	}
}
