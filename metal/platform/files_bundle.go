package main

import "nom.dev/nom/abi"

// The read-only tree: a bundle (abi/bundle has the format and the writer) that the parent lent, read in place. That package
// cannot be used here because its errors allocate. The parent vouches for the bundle's rules; what would lead outside
// of it is checked all the same, so that a damaged one reads as missing or empty files.

const (
	bundleMagic = 0x314c_444e_424d_4f4e // "NOMBNDL1"
	bundleHead  = 64
	bundleEntry = 320
	bundleName  = 256 // bytes of the name field, the rest follows it
	nameMax     = 255
)

type bundleTree struct {
	base  uint64 // virtual address; 0 = there is none
	size  uint64
	count uint32
}

var bundleFiles bundleTree

// open finds the bundle at r, if there is one.
func (v *bundleTree) open(r abi.Range) {
	if r.Size < bundleHead || load64(direct(r.Addr)) != bundleMagic {
		return
	}
	count, size := load32(direct(r.Addr)+8), load64(direct(r.Addr)+16)
	if size > r.Size || bundleHead+uint64(count)*bundleEntry > size || count >= 1<<24 {
		return
	}
	v.base, v.size, v.count = direct(r.Addr), size, count
}

func (v *bundleTree) raw(i uint32) uint64 { return v.base + bundleHead + uint64(i)*bundleEntry }

// name is the whole name of entry i: a path without a leading slash.
func (v *bundleTree) name(i uint32) []byte {
	b := bytesAt(v.raw(i), nameMax)
	for n, c := range b {
		if c == 0 {
			return b[:n]
		}
	}
	return b
}

// lastComponent is where the last component of a name starts.
func lastComponent(name []byte) int {
	i := len(name)
	for i > 0 && name[i-1] != '/' {
		i--
	}
	return i
}

// contents is the address and size of a file's data.
func (v *bundleTree) contents(i uint32) (uint64, uint64) {
	offset, size := load64(v.raw(i)+bundleName), load64(v.raw(i)+bundleName+8)
	if offset > v.size || size > v.size-offset {
		return v.base, 0
	}
	return v.base + offset, size
}

func (v *bundleTree) mode(i uint32) uint32 {
	mode := load32(v.raw(i)+bundleName+16) & 0o777
	if load32(v.raw(i)+bundleName+20)&1 != 0 {
		return mode | modeDir
	}
	return mode | modeRegular
}

// search returns the first entry whose name is not below the given one.
func (v *bundleTree) search(name []byte) uint32 {
	lo, hi := uint32(0), v.count
	for lo < hi {
		m := (lo + hi) / 2
		if string(v.name(m)) < string(name) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func (v *bundleTree) find(name []byte) (uint32, bool) {
	i := v.search(name)
	return i, i < v.count && string(v.name(i)) == string(name)
}

// joined is where names are put together for a search.
var joined [2*nameMax + 4]byte

// join makes "dir/name", or name alone at the top.
func join(dir, name []byte) []byte {
	n := copy(joined[:], dir)
	if n != 0 {
		joined[n] = '/'
		n++
	}
	n += copy(joined[n:], name)
	return joined[:n]
}

// lookup finds name in directory dir of the bundle, which is "" for the top.
func (v *bundleTree) lookup(dir, name []byte) (uint32, bool) {
	if len(dir)+1+len(name) > nameMax+1 {
		return 0, false
	}
	return v.find(join(dir, name))
}

// firstChild is where the entries below dir start; "dir-x" sorts between "dir" and "dir/".
func (v *bundleTree) firstChild(dir []byte) uint32 {
	if len(dir) == 0 {
		return 0
	}
	return v.search(join(dir, nil))
}

// child returns the first entry from index i on, at or after firstChild, that lies directly in dir.
func (v *bundleTree) child(dir []byte, i uint32) (uint32, bool) {
	skip := len(dir) + 1
	if len(dir) == 0 {
		skip = 0
	}
	for i < v.count {
		name := v.name(i)
		if len(name) < skip || skip > 0 && (string(name[:skip-1]) != string(dir) || name[skip-1] != '/') {
			return 0, false
		}
		deep := skip
		for deep < len(name) && name[deep] != '/' {
			deep++
		}
		if deep == len(name) {
			return i, true
		}
		n := copy(joined[:], name[:deep])
		joined[n] = '/' + 1 // beyond everything in that directory
		i = max(i+1, v.search(joined[:n+1]))
	}
	return 0, false
}
