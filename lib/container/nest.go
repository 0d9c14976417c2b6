package container

import (
	"bytes"
	"errors"
	"fmt"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/metal"
)

// Self is the entry of a program's bundle that is the program itself.
const Self = "self"

// mark stands in every program that can launch containers, because Images refers to it. Who starts a program looks for
// it in the file, so that nobody has to say of a program that it nests.
const mark = "nom.dev/nom/lib/container: this program can launch containers"

// CanNest says whether a program, as an ELF file, was linked with the part of this package that launches containers.
func CanNest(program []byte) bool { return bytes.Contains(program, []byte(mark)) }

// ErrNoImages says that a program was not given what it needs to launch others.
var ErrNoImages = errors.New("the container was started without the images of platform and program: start it with Nested")

// Images are the ELF files of the platform and of the calling program itself, as its bundle has them. They can be
// passed on to Launch. The root container's bundle has no entry Self, but one for each program.
func Images() (platform, self []byte, err error) {
	if !metal.InContainer() {
		return nil, nil, metal.ErrNotRunning
	}
	raw := metal.RangeBytes(metal.BootPage().Bundle)
	if len(raw) == 0 {
		return nil, nil, fmt.Errorf("%w (%s)", ErrNoImages, mark)
	}
	b, err := bundle.Open(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("images of platform and program: %w", err)
	}
	platform, _, ok := b.File(bundle.Metal)
	if !ok {
		return nil, nil, fmt.Errorf("images of platform and program: no entry %q in the bundle", bundle.Metal)
	}
	self, _, _ = b.File(Self)
	return platform, self, nil
}

// nesting is a bundle of platform and program that is put together of pages that lie elsewhere: only its head is new.
type nesting struct {
	memory metal.Physical // of the head
	head   []byte
	rest   [][]byte
}

// nest makes the bundle for cfg.Nested; without it, an empty one.
func (cfg *Config) nest() (*nesting, error) {
	if !cfg.Nested {
		return &nesting{}, nil
	}
	if !lendable(cfg.Platform) || !lendable(cfg.Program) {
		return nil, errors.New("nesting: platform and program must lie in whole pages of physical memory, as in a bundle")
	}
	head, err := nestHead(cfg.Platform, cfg.Program)
	if err != nil {
		return nil, err
	}
	p, err := metal.Pages(int(pageUp(uint64(len(head))) / bundle.PageSize))
	if err != nil {
		return nil, fmt.Errorf("nesting: %w", err)
	}
	n := &nesting{memory: p, head: p.Bytes(), rest: [][]byte{cfg.Platform, cfg.Program}}
	copy(n.head, head)
	return n, nil
}

// nestHead is the head of a bundle of platform and program, whose files follow in this order.
func nestHead(platform, program []byte) ([]byte, error) {
	return bundle.Head([]bundle.File{{Name: bundle.Metal, Data: platform}, {Name: Self, Data: program}})
}

// pages is what must be held while the container lives.
func (n *nesting) pages() []metal.Physical {
	if n.memory.Size == 0 {
		return nil
	}
	return []metal.Physical{n.memory}
}

func (n *nesting) release() error { return n.memory.Release() }
