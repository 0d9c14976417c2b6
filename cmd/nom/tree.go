package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nom.dev/nom/abi/bundle"
)

// testTree is what the tests of a package find on their disk, as a bundle's files: what lies in the package's
// directory, its testdata and the testdata of the directories around it, and what the command line adds. Everything
// is at its absolute path.
func testTree(pkg listed, extra []string) ([]bundle.File, error) {
	t := tree{}
	entries, err := os.ReadDir(pkg.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if err := t.add(filepath.Join(pkg.Dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	for dir := pkg.Dir; ; dir = filepath.Dir(dir) {
		if err := t.walk(filepath.Join(dir, "testdata")); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if dir == pkg.Root || len(dir) <= len(pkg.Root) || pkg.Root == "" {
			break
		}
	}
	if pkg.Standard && pkg.ImportPath == "time" {
		extra = append([]string{filepath.Join(pkg.Root, "lib/time/zoneinfo.zip")}, extra...)
	}
	for _, path := range extra {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if err := t.walk(abs); err != nil {
			return nil, fmt.Errorf("file for the tests: %w", err)
		}
	}
	files := make([]bundle.File, 0, len(t))
	for _, f := range t {
		files = append(files, f)
	}
	return files, nil
}

// tree is a set of files by name.
type tree map[string]bundle.File

// walk adds a file, or a directory and all that is in it.
func (t tree) walk(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			name := strings.TrimPrefix(filepath.ToSlash(path), "/")
			if name != "" {
				t[name] = bundle.File{Name: name, Dir: true}
			}
			return nil
		case d.Type().IsRegular():
			return t.add(path)
		}
		return nil
	})
}

// add adds a file. Names that a bundle cannot have are left out: no test opens them by that name on nom.
func (t tree) add(path string) error {
	name := strings.TrimPrefix(filepath.ToSlash(path), "/")
	if _, have := t[name]; have || len(name) > bundle.NameMax || !fs.ValidPath(name) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t[name] = bundle.File{Name: name, Data: data, Mode: uint32(info.Mode().Perm())}
	return nil
}
