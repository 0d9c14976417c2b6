package bundle

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"sort"
)

// File is one file or directory to write.
type File struct {
	Name string // as io/fs has it: relative, slash-separated, at most NameMax bytes
	Data []byte
	Mode uint32 // permission bits; 0 means 0644 for a file and 0755 for a directory
	Dir  bool
}

// Write writes a bundle of files. Their order does not matter; directories that they need and that are not given are
// added. The size of each file must be right before the first byte is written, so all of them are in memory.
func Write(w io.Writer, files []File) error {
	all, err := arrange(files)
	if err != nil {
		return err
	}
	table, size := encodeTable(all)
	if err := writePadded(w, table); err != nil {
		return err
	}
	written := pageUp(uint64(len(table)))
	for _, f := range all {
		if err := writePadded(w, f.Data); err != nil {
			return fmt.Errorf("writing %s: %w", f.Name, err)
		}
		written += pageUp(uint64(len(f.Data)))
	}
	if written != size {
		return fmt.Errorf("bundle: wrote %d bytes of %d", written, size)
	}
	return nil
}

// Head is the head of the bundle that Write would write: header, entries, and zeros up to the page boundary at which the
// first file starts. Who has the files in whole pages elsewhere can put the bundle together without copying them, in the
// order of their names.
func Head(files []File) ([]byte, error) {
	all, err := arrange(files)
	if err != nil {
		return nil, err
	}
	table, _ := encodeTable(all)
	return append(table, make([]byte, pageUp(uint64(len(table)))-uint64(len(table)))...), nil
}

// Size is how many bytes Write will write for files; 0 when they cannot be written.
func Size(files []File) int64 {
	all, err := arrange(files)
	if err != nil {
		return 0
	}
	_, size := encodeTable(all)
	return int64(size)
}

// arrange checks the files, adds the directories that are missing and sorts.
func arrange(files []File) ([]File, error) {
	byName := make(map[string]File, len(files))
	for _, f := range files {
		if err := checkFile(f); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if _, twice := byName[f.Name]; twice {
			return nil, fmt.Errorf("bundle: two files are called %s", f.Name)
		}
		byName[f.Name] = f
	}
	for _, f := range files {
		if err := addParents(byName, f.Name); err != nil {
			return nil, err
		}
	}
	if len(byName) > MaxEntries {
		return nil, fmt.Errorf("bundle: %d files, and %d is the most", len(byName), MaxEntries)
	}
	all := make([]File, 0, len(byName))
	for _, f := range byName {
		all = append(all, f)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func checkFile(f File) error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	if f.Mode > 0o777 {
		return fmt.Errorf("%s: mode %#o has more than permission bits", f.Name, f.Mode)
	}
	if f.Dir && len(f.Data) != 0 {
		return fmt.Errorf("%s: a directory with contents", f.Name)
	}
	return nil
}

// addParents adds the directories that name goes through.
func addParents(byName map[string]File, name string) error {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '/' {
			continue
		}
		dir := name[:i]
		f, have := byName[dir]
		if have && !f.Dir {
			return fmt.Errorf("bundle: %s is a file, and %s would lie in it", dir, name)
		}
		if !have {
			byName[dir] = File{Name: dir, Dir: true}
		}
	}
	return nil
}

// encodeTable makes the header and the entries, and says how large the bundle will be.
func encodeTable(all []File) ([]byte, uint64) {
	le := binary.LittleEndian
	table := make([]byte, tableEnd(len(all)))
	next := pageUp(uint64(len(table)))
	for i, f := range all {
		raw := table[HeadSize+i*EntrySize:][:EntrySize]
		copy(raw, f.Name)
		le.PutUint32(raw[entryMode:], f.mode())
		if f.Dir {
			le.PutUint32(raw[entryFlags:], FlagDir)
			continue
		}
		le.PutUint64(raw[entryOffset:], next)
		le.PutUint64(raw[entryBytes:], uint64(len(f.Data)))
		next = pageUp(next + uint64(len(f.Data)))
	}
	copy(table, Magic)
	le.PutUint32(table[headCount:], uint32(len(all)))
	le.PutUint64(table[headSize:], next)
	return table, next
}

func (f File) mode() uint32 {
	switch {
	case f.Mode != 0:
		return f.Mode
	case f.Dir:
		return 0o755
	}
	return 0o644
}

// writePadded writes data and zeros up to the next page boundary.
func writePadded(w io.Writer, data []byte) error {
	if _, err := w.Write(data); err != nil {
		return err
	}
	var zeros [PageSize]byte
	_, err := w.Write(zeros[:pageUp(uint64(len(data)))-uint64(len(data))])
	return err
}

// FromFS collects the regular files and directories of a file system, below the directory prefix ("" for the top) of
// the bundle. Links are followed as fsys does; anything else is left out.
func FromFS(fsys fs.FS, prefix string) ([]File, error) {
	var files []File
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := join(prefix, path)
		if name == "" {
			return nil
		}
		info, err := fs.Stat(fsys, path)
		if err != nil {
			return err
		}
		perm := uint32(info.Mode().Perm())
		switch {
		case info.IsDir() && d.IsDir():
			files = append(files, File{Name: name, Mode: perm, Dir: true})
		case info.Mode().IsRegular():
			data, err := fs.ReadFile(fsys, path)
			if err != nil {
				return err
			}
			files = append(files, File{Name: name, Data: data, Mode: perm})
		}
		return nil
	})
	return files, err
}

func join(prefix, path string) string {
	switch {
	case path == ".":
		return prefix
	case prefix == "":
		return path
	}
	return prefix + "/" + path
}
