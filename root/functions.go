package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
)

// functions knows who got the machine's network functions, so that each waits as long as possible before the next one gets it, and
// whoever gets none can be told why.
type functions struct {
	mu      sync.Mutex        // held while one program gets a function
	holders map[uint32]string // who has, or had, a function
	used    map[uint32]int    // when that was: a number that grows
	count   int
}

// resetPatience is for how long a program waits for functions that its predecessors had, while they are being reset: much longer than
// that takes.
const resetPatience = 5 * time.Second

// launch launches a container with a function.
func (f *functions) launch(cfg container.Config) (*container.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for deadline := time.Now().Add(resetPatience); ; time.Sleep(10 * time.Millisecond) {
		own, err := container.OwnDevices()
		if err != nil {
			return nil, err
		}
		list := f.free(own)
		if len(list) == 0 {
			return nil, f.none(own)
		}
		for _, d := range list {
			cfg.Devices = []abi.DeviceGrant{d}
			c, err := container.Launch(cfg)
			if err == nil {
				f.gave(d.Index, cfg.Name)
				return c, nil
			}
			if !errors.Is(err, container.ErrDeviceBusy) || time.Now().After(deadline) {
				return nil, err
			}
		}
	}
}

// gave notes who has a function.
func (f *functions) gave(index uint32, name string) {
	if f.holders == nil {
		f.holders, f.used = make(map[uint32]string), make(map[uint32]int)
	}
	f.count++
	f.holders[index], f.used[index] = name, f.count
}

// free lists the network functions among those that root has and does not use itself, first those that nobody had for the longest time.
func (f *functions) free(own []abi.DeviceGrant) []abi.DeviceGrant {
	list := slices.DeleteFunc(slices.Clone(own), func(d abi.DeviceGrant) bool { return d.Kind != abi.DeviceIGBVF || d.BAR.Addr != 0 })
	slices.SortStableFunc(list, func(a, b abi.DeviceGrant) int { return f.used[a.Index] - f.used[b.Index] })
	return list
}

// none says why no function is free: who has them all, root included, which has one of its own when the machine is managed.
func (f *functions) none(own []abi.DeviceGrant) error {
	if len(own) == 0 && len(f.holders) == 0 {
		return errors.New("the machine has no network functions: \"nom boot --nic\" makes one that has")
	}
	var names []string
	for _, name := range f.holders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, d := range own {
		if d.Kind == abi.DeviceIGBVF && d.BAR.Addr != 0 {
			names = append(names, "the machine's management API")
		}
	}
	return fmt.Errorf("no network function is free: the machine's %d are held by %s", len(names), strings.Join(names, ", "))
}
