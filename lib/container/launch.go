package container

import (
	"errors"
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout"
	"nom.dev/nom/metal"
)

// Config says how Launch starts a program.
type Config struct {
	Name  string
	Pages uint64  // granted; what is lent to it comes on top
	Most  uint64  // how many pages it may ever be granted; 0 = Pages
	Cores []Slots // every vCPU, from 0 on, must have some; their number is the number of vCPUs

	Program, Platform []byte   // ELF; lent where they are whole pages of the bundle, otherwise copied
	Companion         []byte   // ELF of a second program that runs beside the first, likewise, or nil: see package uplink
	Args, Env         []string // Args[0] is the program's name; Env gets a GOMEMLIMIT if it has none
	Files             []byte   // a bundle of read-only files for the program, or nil
	Seed              [32]byte // random, for this start only

	Devices []abi.DeviceGrant // of OwnDevices, to be the container's until its end
	Limit   abi.DeviceLimit   // of each of them

	// Nested gives the program what it needs in order to launch containers itself: see Images.
	Nested bool
	// Output is called with what the program prints, one call at a time. nil: the program has no console.
	Output func(stream int, data []byte)
}

// Launch makes a container and starts a program in it.
func Launch(cfg Config) (*Container, error) {
	if !metal.InContainer() {
		return nil, fmt.Errorf("launching %q: %w", cfg.Name, metal.ErrNotRunning)
	}
	vcpus, err := countVCPUs(cfg.Cores)
	if err != nil {
		return nil, fmt.Errorf("launching %q: %w", cfg.Name, err)
	}
	nest, err := cfg.nest()
	if err != nil {
		return nil, fmt.Errorf("launching %q: %w", cfg.Name, err)
	}
	plan, err := cfg.plan(nest)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("launching %q: %w", cfg.Name, err), nest.release())
	}
	plan.Boot.VCPUs = uint32(vcpus)
	plan.Boot.Seed = cfg.Seed
	inherit(&plan.Boot)
	c, err := Create(Spec{Name: cfg.Name, VCPUs: vcpus, Pages: cfg.Pages, Memory: plan.Boot.MemoryTop, Devices: len(cfg.Devices) > 0})
	if err != nil {
		return nil, errors.Join(err, nest.release())
	}
	c.held = append(c.held, nest.pages()...)
	if err := c.furnish(&cfg, plan); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// furnish does what is left after the creation: console, memory, cores, start.
func (c *Container) furnish(cfg *Config, plan *layout.Plan) error {
	if cfg.Output != nil {
		if err := c.openConsole(cfg.Output); err != nil {
			return err
		}
		plan.Boot.Console = abi.ConsoleAddr
	}
	if err := c.grantDevices(plan, cfg.Limit); err != nil {
		return err
	}
	if err := c.Load(plan); err != nil {
		return err
	}
	for _, s := range cfg.Cores {
		if err := c.GrantCore(s); err != nil {
			return err
		}
	}
	return c.Start(plan.State)
}

// countVCPUs checks that each vCPU has slots on exactly one core.
func countVCPUs(cores []Slots) (int, error) {
	core := map[int]uint32{}
	for _, s := range cores {
		if s.VCPU < 0 || s.VCPU >= abi.MaxVCPUs || s.Slots == 0 || s.Slots&^abi.AllSlots != 0 {
			return 0, fmt.Errorf("slots %#x for vCPU %d: not a possible grant", s.Slots, s.VCPU)
		}
		if at, ok := core[s.VCPU]; ok && at != s.Core {
			return 0, fmt.Errorf("vCPU %d has slots on cores %d and %d: one core at a time is possible", s.VCPU, at, s.Core)
		}
		core[s.VCPU] = s.Core
	}
	for i := range len(core) {
		if _, ok := core[i]; !ok {
			return 0, fmt.Errorf("vCPU %d has no slots: it would never run", i)
		}
	}
	if len(core) == 0 {
		return 0, errors.New("no core slots: it would never run")
	}
	return len(core), nil
}

// plan lays the program out in the memory that it will have.
func (cfg *Config) plan(nest *nesting) (*layout.Plan, error) {
	p, err := layout.New(layout.Input{
		Program:    cfg.Program,
		Companion:  cfg.Companion,
		Platform:   cfg.Platform,
		Args:       cfg.Args,
		Env:        cfg.environment(),
		Name:       cfg.Name,
		Files:      cfg.Files,
		Base:       abi.ImageAddr,
		Lend:       lendable(cfg.Program) && lendable(cfg.Companion) && lendable(cfg.Platform) && lendable(cfg.Files),
		Bundle:     nest.head,
		BundleRest: nest.rest,
	})
	if err != nil {
		return nil, err
	}
	_, lent := p.Pages()
	if cfg.Output != nil {
		lent += abi.ConsolePages
	}
	lent += abi.ReservedPages
	top, err := cfg.placeDevices(p, (max(cfg.Pages, cfg.Most)+lent)*abi.PageSize)
	if err != nil {
		return nil, err
	}
	return p, p.SetLimit((cfg.Pages+lent)*abi.PageSize, top)
}

// lendable says that b consists of whole pages of physical memory, so that its pages can be lent.
func lendable(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if cap(b) < int(pageUp(uint64(len(b)))) {
		return false
	}
	p, ok := metal.PhysicalOf(b[:cap(b)])
	return ok && p.Addr%abi.PageSize == 0
}

// inherit fills in what every program on the machine is told alike.
func inherit(b *abi.BootPage) {
	own := metal.BootPage()
	b.TSCHz, b.APICHz = own.TSCHz, own.APICHz
	b.WallTSC, b.WallNanos = own.WallTSC, own.WallNanos
}

// openConsole lends the container a console ring.
func (c *Container) openConsole(output func(stream int, data []byte)) error {
	p, err := metal.Pages(abi.ConsolePages)
	if err != nil {
		return fmt.Errorf("container %s: its console: %w", c.spec.Name, err)
	}
	c.held = append(c.held, p)
	if err := c.Lend(abi.ConsoleAddr, p, true); err != nil {
		return err
	}
	c.console, c.output = &ring{r: ringAt(p.Bytes())}, output
	return nil
}

// Lend maps the caller's pages into the container at guest-physical address to. They stay the caller's, which cannot
// return them while the container lives.
func (c *Container) Lend(to uint64, p metal.Physical, write bool) error {
	prot := uint64(abi.LendRead)
	if write {
		prot = abi.LendWrite
	}
	for off := uint64(0); off < p.Size; off += abi.LendMax * abi.PageSize {
		n := min(p.Size-off, abi.LendMax*abi.PageSize)
		what := fmt.Sprintf("lending it %d pages at %#x", n/abi.PageSize, to+off)
		if _, err := c.call(what, abi.CallLend, to+off, p.Addr+off, n/abi.PageSize, prot); err != nil {
			return err
		}
	}
	return nil
}

// Load puts a plan into the memory of a container that has not started: what is shared is lent, the rest copied. Lending comes
// first, in the order of the plan: it makes the memory grow, and needs places to which nothing is attached yet, while
// copying attaches whole stretches.
func (c *Container) Load(plan *layout.Plan) error {
	for i := range plan.Pieces {
		if err := c.lendPiece(&plan.Pieces[i]); err != nil {
			return err
		}
	}
	if err := c.Write(plan.BootAddr, plan.BootBytes()); err != nil {
		return err
	}
	if err := c.Write(plan.TablesAddr, plan.Tables); err != nil {
		return err
	}
	for i := range plan.Pieces {
		if p := &plan.Pieces[i]; !p.Shared {
			if err := c.Write(p.PA, p.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Container) lendPiece(p *layout.Piece) error {
	if !p.Shared {
		return nil
	}
	from, ok := metal.PhysicalOf(p.Data)
	if !ok {
		return fmt.Errorf("container %s: a piece of its %v is to be lent and does not lie in whole pages", c.spec.Name, p.Source)
	}
	return c.Lend(p.PA, metal.Physical{Addr: from.Addr, Size: p.Size}, false)
}

// Write copies data to guest-physical address to of a container that has not started.
func (c *Container) Write(to uint64, data []byte) error {
	if p, ok := metal.PhysicalOf(data); ok {
		return c.copyFrom(to, p.Addr, p.Size)
	}
	return withScratch(func(s scratch) error {
		for len(data) > 0 {
			n := copy(s.bytes, data)
			if err := c.copyFrom(to, s.addr, uint64(n)); err != nil {
				return err
			}
			data, to = data[n:], to+uint64(n)
		}
		return nil
	})
}

// copyFrom copies from the caller's physical memory.
func (c *Container) copyFrom(to, from, size uint64) error {
	for off := uint64(0); off < size; off += abi.CopyMax {
		n := min(size-off, abi.CopyMax)
		what := fmt.Sprintf("copying %d bytes to %#x", n, to+off)
		if _, err := c.call(what, abi.CallCopy, to+off, from+off, n, 0); err != nil {
			return err
		}
	}
	return nil
}

func pageUp(n uint64) uint64 { return (n + abi.PageSize - 1) &^ (abi.PageSize - 1) }
