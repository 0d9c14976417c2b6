package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

const (
	victimPages = 64 << 20 / abi.PageSize
	patience    = 10 * time.Minute // for an attack that ends by itself
	bound       = 2 * time.Second  // within which a killed container must be gone
)

// judge runs all attacks and says whether each ended as it must.
func judge() error {
	platform, self, err := container.Images()
	if err != nil {
		return err
	}
	healthy := startWork()
	bad := 0
	for i := range attacks {
		a := &attacks[i]
		if a.name == ltrNullName {
			fmt.Printf("%-16s left out: it would end an emulator, not the nonkernel\n", a.name)
			continue
		}
		before := healthy.rounds.Load()
		start := time.Now()
		how, err := a.try(platform, self)
		verdict := "ok"
		switch {
		case err != nil:
			verdict = "FAILED: " + err.Error()
			bad++
		case healthy.wrong.Load():
			return fmt.Errorf("%s: the judge's own work went wrong", a.name)
		}
		fmt.Printf("%-16s %-12s %8v  %d rounds of work meanwhile  %s\n", a.name, how, time.Since(start).Round(time.Millisecond),
			healthy.rounds.Load()-before, verdict)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d attacks did not end as they must", bad, len(attacks))
	}
	fmt.Println("all attacks ended as they must")
	return nil
}

// holdings is what the judge has; it must be the same after each attack.
type holdings struct {
	pages, given uint64
	children     uint32
	slots        uint32
}

func count() (holdings, error) {
	st, err := container.OwnStatus()
	if err != nil {
		return holdings{}, err
	}
	own, err := container.Own()
	return holdings{st.Pages, st.Given, st.Children, own.Slots[0]}, err
}

// try runs one attack in a child and says how that ended.
func (a *attack) try(platform, self []byte) (how string, err error) {
	before, err := count()
	if err != nil {
		return "", err
	}
	own, err := container.Own()
	if err != nil {
		return "", err
	}
	c, err := container.Launch(container.Config{
		Name: a.name, Pages: victimPages, Program: self, Platform: platform, Nested: true,
		Args:   []string{"hostile", a.name},
		Env:    os.Environ(),
		Cores:  []container.Slots{{VCPU: 0, Core: own.Core[0], Slots: every(own.Slots[0], 1, 2)}},
		Output: a.passOn(),
	})
	if err != nil {
		return "", err
	}
	st, err := a.await(c)
	if err != nil {
		return "", err
	}
	if how = container.EndName(st.End); st.End == abi.EndExit {
		how = fmt.Sprintf("exit %d", st.Code)
	}
	if err := c.Close(); err != nil {
		return how, err
	}
	after, err := count()
	if err != nil {
		return how, err
	}
	if after != before {
		return how, fmt.Errorf("the judge had %+v before and has %+v after", before, after)
	}
	if !slices.Contains(a.ends, how) && !(st.End == abi.EndExit && slices.Contains(a.ends, exits)) {
		return how, fmt.Errorf("it must end by %s", a.endings())
	}
	return how, nil
}

// await waits for the end of an attack, or makes one.
func (a *attack) await(c *container.Container) (abi.Status, error) {
	wait := a.after
	if wait == 0 {
		wait = patience
	}
	select {
	case <-c.Done():
		return c.Wait()
	case <-time.After(wait):
	}
	start := time.Now()
	if err := c.Kill(); err != nil {
		return abi.Status{}, err
	}
	st, err := c.Wait()
	if took := time.Since(start); err == nil && took > bound {
		err = fmt.Errorf("it took %v to kill it, more than %v", took, bound)
	}
	return st, err
}

// passOn makes a function that prints the first part of what an attack prints.
func (a *attack) passOn() func(stream int, data []byte) {
	left := 4000
	return func(stream int, data []byte) {
		data = data[:min(left, len(data))]
		left -= len(data)
		os.Stderr.Write(printable(data))
	}
}

// printable is what may be shown of a hostile program's output.
func printable(data []byte) []byte {
	out := slices.Clone(data)
	for i, c := range out {
		if (c < ' ' || c > '~') && c != '\n' {
			out[i] = '.'
		}
	}
	return out
}

// work is what the judge does beside: hashes with a known result.
type work struct {
	rounds atomic.Uint64
	wrong  atomic.Bool
}

func startWork() *work {
	w := &work{}
	block := make([]byte, 1<<12)
	want := sha256.Sum256(block)
	page, err := metal.Pages(1)
	if err == nil {
		page.Bytes()[0] = 0x5a
	}
	go func() {
		for {
			time.Sleep(20 * time.Millisecond)
			if sha256.Sum256(block) != want || err == nil && page.Bytes()[0] != 0x5a {
				w.wrong.Store(true)
			}
			w.rounds.Add(1)
		}
	}()
	return w
}
