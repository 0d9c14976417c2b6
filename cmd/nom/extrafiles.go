package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nom.dev/nom/abi/bundle"
)

// addFiles adds files and directories of this computer to those of a program, at their absolute paths.
func addFiles(files []bundle.File, paths []string) ([]bundle.File, error) {
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name] = true
	}
	for _, path := range paths {
		more, err := readTree(path)
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", path, err)
		}
		for _, f := range more {
			if !have[f.Name] {
				have[f.Name] = true
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// readTree reads a file, or a directory and all that is in it.
func readTree(path string) ([]bundle.File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(filepath.ToSlash(abs), "/")
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return bundle.FromFS(os.DirFS(abs), name)
	}
	data, err := os.ReadFile(abs)
	return []bundle.File{{Name: name, Data: data, Mode: uint32(info.Mode().Perm())}}, err
}
