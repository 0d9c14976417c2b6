// Package bundle reads and writes the archive in which a machine image carries its programs, and a program its
// read-only files. Every file starts at a page boundary, so that it can be lent to a container by the page.
//
// # Format
//
// All numbers are little-endian, all offsets count from the start of the bundle. The format can be read in place,
// without allocating: a header of 64 bytes, Count entries of 320 bytes, then the files.
//
//	header   0  magic "NOMBNDL1"
//	         8  u32 count of entries
//	        12  u32 zero
//	        16  u64 size of the bundle in bytes, a multiple of 4096
//	        24  zeros
//
//	entry    0  name, NUL padded, 1 to 255 bytes: slash-separated, as io/fs has it: "usr/local/go/VERSION"
//	       256  u64 offset: a multiple of 4096; 0 in a directory
//	       264  u64 size in bytes; 0 in a directory
//	       272  u32 permission bits, 0 to 0777
//	       276  u32 flags: bit 0 = directory
//	       280  zeros
//
// Entries are sorted by name, byte by byte, and unique: look a name up by binary search, list a directory by walking
// the entries that start with its name and a slash. Each directory that a name goes through has its own entry. Files
// lie in the order of the entries, each at the first page boundary after the one before; the gaps hold zeros. So
// the same files always make the same bytes.
//
// The reader trusts nothing: Open refuses every bundle that breaks one of these rules (except zeros in the gaps,
// which it does not read). The package must never copy a file it reads, and never import what cannot run on metal.
package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Sizes and places of the format.
const (
	Magic     = "NOMBNDL1"
	PageSize  = 4096
	HeadSize  = 64
	EntrySize = 320
	NameMax   = 255

	// MaxEntries bounds what Open is willing to look at.
	MaxEntries = 1 << 20

	headCount = 8
	headZero  = 12
	headSize  = 16
	headRest  = 24

	entryOffset = 256
	entryBytes  = 264
	entryMode   = 272
	entryFlags  = 276
	entryRest   = 280

	// FlagDir in an entry's flags: it is a directory.
	FlagDir = 1
)

// Names of the entries that a machine image has. Programs and their files go by ProgramPrefix and FilesPrefix.
const (
	Metal         = "metal"
	Root          = "root"
	Uplink        = "uplink" // only where a container is in a network
	Manifest      = "manifest.json"
	ProgramPrefix = "program/"
	FilesPrefix   = "files/"
)

// ErrFormat is wrapped by every error of Open.
var ErrFormat = errors.New("not a valid bundle")

// Entry describes one file or directory.
type Entry struct {
	Name   string
	Offset int64 // from the start of the bundle, page aligned
	Size   int64
	Mode   uint32 // permission bits
	Dir    bool
}

// Bundle is an opened bundle. It refers to the bytes it was opened on.
type Bundle struct {
	b     []byte
	count int
}

// Open checks the bundle at the start of b. Bytes after it are allowed, so that b may end at a page boundary or later.
func Open(b []byte) (*Bundle, error) {
	if len(b) < HeadSize {
		return nil, fmt.Errorf("%w: %d bytes, and the header alone takes %d", ErrFormat, len(b), HeadSize)
	}
	if string(b[:len(Magic)]) != Magic {
		return nil, fmt.Errorf("%w: it starts with %q instead of %q", ErrFormat, b[:len(Magic)], Magic)
	}
	count := binary.LittleEndian.Uint32(b[headCount:])
	size := binary.LittleEndian.Uint64(b[headSize:])
	if count > MaxEntries {
		return nil, fmt.Errorf("%w: %d entries, more than %d", ErrFormat, count, MaxEntries)
	}
	if binary.LittleEndian.Uint32(b[headZero:]) != 0 || !zero(b[headRest:HeadSize]) {
		return nil, fmt.Errorf("%w: a reserved field of the header is set; it was written by a later version", ErrFormat)
	}
	if size%PageSize != 0 || size > uint64(len(b)) {
		return nil, fmt.Errorf("%w: its size is given as %d, of which %d bytes are here; it is cut off or damaged", ErrFormat, size, len(b))
	}
	o := &Bundle{b[:size:size], int(count)}
	if tableEnd(o.count) > size {
		return nil, fmt.Errorf("%w: a table of %d entries does not fit in %d bytes", ErrFormat, count, size)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	return o, nil
}

// check holds every entry against the rules of the format.
func (o *Bundle) check() error {
	next, last := pageUp(tableEnd(o.count)), ""
	for i := range o.count {
		raw := o.raw(i)
		name := nameOf(raw)
		if err := checkName(name); err != nil {
			return fmt.Errorf("%w: entry %d: %v", ErrFormat, i, err)
		}
		if !zero(raw[len(name):entryOffset]) || !zero(raw[entryRest:EntrySize]) {
			return fmt.Errorf("%w: entry %d (%s): a reserved field is set", ErrFormat, i, name)
		}
		if i > 0 && name <= last {
			return fmt.Errorf("%w: entry %d (%s) must sort after %s", ErrFormat, i, name, last)
		}
		last = name
		end, err := checkExtent(raw, next, uint64(len(o.b)))
		if err != nil {
			return fmt.Errorf("%w: entry %d (%s): %v", ErrFormat, i, name, err)
		}
		next = end
		if err := o.checkParent(name); err != nil {
			return fmt.Errorf("%w: entry %d (%s): %v", ErrFormat, i, name, err)
		}
	}
	if next != uint64(len(o.b)) {
		return fmt.Errorf("%w: the files end at %d, the bundle at %d", ErrFormat, next, len(o.b))
	}
	return nil
}

// checkExtent checks place, mode and flags of an entry whose file must start at next, and returns where the following
// one must.
func checkExtent(raw []byte, next, limit uint64) (uint64, error) {
	offset, size, mode, flags := extent(raw)
	if mode > 0o777 || flags&^FlagDir != 0 {
		return 0, fmt.Errorf("mode %#o, flags %#x are not among those defined", mode, flags)
	}
	if flags&FlagDir != 0 {
		if offset != 0 || size != 0 {
			return 0, errors.New("a directory with contents")
		}
		return next, nil
	}
	if offset != next {
		return 0, fmt.Errorf("it lies at %d and should at %d", offset, next)
	}
	if offset > limit || size > limit-offset {
		return 0, fmt.Errorf("%d bytes at %d reach beyond the bundle's end at %d", size, offset, limit)
	}
	return pageUp(offset + size), nil
}

// checkParent checks that the directory that name lies in is there. It sorts before name, so it is already checked.
func (o *Bundle) checkParent(name string) error {
	slash := strings.LastIndexByte(name, '/')
	if slash < 0 {
		return nil
	}
	if e, ok := o.Lookup(name[:slash]); !ok || !e.Dir {
		return fmt.Errorf("no directory %s in the bundle", name[:slash])
	}
	return nil
}

// Len is how many entries there are.
func (o *Bundle) Len() int { return o.count }

// Size is the length of the bundle in bytes, a multiple of the page size.
func (o *Bundle) Size() int64 { return int64(len(o.b)) }

// Entry returns entry i of Len, in the order of the names.
func (o *Bundle) Entry(i int) Entry {
	raw := o.raw(i)
	offset, size, mode, flags := extent(raw)
	return Entry{nameOf(raw), int64(offset), int64(size), mode, flags&FlagDir != 0}
}

// Names lists all names, directories included, sorted.
func (o *Bundle) Names() []string {
	names := make([]string, o.count)
	for i := range names {
		names[i] = nameOf(o.raw(i))
	}
	return names
}

// Lookup finds an entry by name.
func (o *Bundle) Lookup(name string) (Entry, bool) {
	i := o.search(name)
	if i == o.count || string(nameBytes(o.raw(i))) != name {
		return Entry{}, false
	}
	return o.Entry(i), true
}

// search returns the first entry whose name is not below the given one. It allocates nothing.
func (o *Bundle) search(name string) int {
	low, high := 0, o.count
	for low < high {
		mid := int(uint(low+high) / 2)
		if string(nameBytes(o.raw(mid))) < name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Dir lists the entries directly in a directory, in the order of their names; "" is the top. False: no such directory.
func (o *Bundle) Dir(name string) ([]Entry, bool) {
	prefix := ""
	if name != "" {
		if e, ok := o.Lookup(name); !ok || !e.Dir {
			return nil, false
		}
		prefix = name + "/"
	}
	var list []Entry
	for i := o.search(prefix); i < o.count; i++ {
		rest, ok := strings.CutPrefix(string(nameBytes(o.raw(i))), prefix)
		if !ok {
			break
		}
		if strings.IndexByte(rest, '/') < 0 {
			list = append(list, o.Entry(i))
		}
	}
	return list, true
}

// File returns the contents of a file, without copying, and its offset in the bundle. Directories are not found. The
// capacity of the slice reaches to the end of the file's last page.
func (o *Bundle) File(name string) ([]byte, int64, bool) {
	e, ok := o.Lookup(name)
	if !ok || e.Dir {
		return nil, 0, false
	}
	end := e.Offset + e.Size
	return o.b[e.Offset:end:pageUp(uint64(end))], e.Offset, true
}

func (o *Bundle) raw(i int) []byte { return o.b[HeadSize+i*EntrySize:][:EntrySize] }

// extent reads the numbers of an entry.
func extent(raw []byte) (offset, size uint64, mode, flags uint32) {
	le := binary.LittleEndian
	return le.Uint64(raw[entryOffset:]), le.Uint64(raw[entryBytes:]), le.Uint32(raw[entryMode:]), le.Uint32(raw[entryFlags:])
}

// nameBytes is the name of an entry; one without its final NUL comes out too long for checkName.
func nameBytes(raw []byte) []byte {
	n := bytes.IndexByte(raw[:entryOffset], 0)
	if n < 0 {
		n = entryOffset
	}
	return raw[:n]
}

func nameOf(raw []byte) string { return string(nameBytes(raw)) }

func checkName(name string) error {
	switch {
	case name == "" || name == "." || !fs.ValidPath(name):
		return fmt.Errorf("%q is not a relative path without . and .. in it", name)
	case len(name) > NameMax:
		return fmt.Errorf("the name %q is longer than %d bytes", name, NameMax)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("the name %q has a NUL in it", name)
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func tableEnd(count int) uint64 { return HeadSize + uint64(count)*EntrySize }

func pageUp(n uint64) uint64 { return (n + PageSize - 1) &^ (PageSize - 1) }
