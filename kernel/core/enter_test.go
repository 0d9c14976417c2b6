package core

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/container"
	svmbackend "nom.dev/nom/kernel/svm"
)

// quiet is a simulated machine whose runners do not run by themselves.
func quiet(t *testing.T, vcpus, started int) (*stressMachine, *Machine, *container.Container) {
	s := newStressMachine(t)
	m, err := newMachine(s, stressCores, fakeHz, svmbackend.New)
	if err != nil {
		t.Fatal(err)
	}
	root := bootFake(t, m, stressCores, vcpus, started, func(m *Machine) container.Machine { return watched{m, s} })
	for i, r := range m.runners {
		r.hw = s.cores[i]
	}
	return s, m, root
}

// TestWhoIsInside: of runners that want the same vCPU one gets it, and a kick finds that one.
func TestWhoIsInside(t *testing.T) {
	_, m, root := quiet(t, 1, 1)
	u := root.VCPUs[0].Backend.(*vcpu)
	var inside atomic.Int32
	var wrong, crowd, entries atomic.Int64
	var done sync.WaitGroup
	end := time.Now().Add(stressTime() / 4)
	for _, r := range m.runners {
		done.Go(func() {
			for time.Now().Before(end) {
				for range 100 {
					if !u.enter(r) {
						continue
					}
					if inside.Add(1) != 1 {
						crowd.Add(1)
					}
					for range 20 {
						if u.where.Load() != r {
							wrong.Add(1)
							break
						}
					}
					entries.Add(1)
					inside.Add(-1)
					u.leave()
				}
			}
		})
	}
	done.Wait()
	if crowd.Load() != 0 || wrong.Load() != 0 || entries.Load() == 0 {
		t.Errorf("of %d entries, %d met somebody else inside, %d could not be found by a kick", entries.Load(), crowd.Load(), wrong.Load())
	}
}

// TestHandledElsewhere: a core that was told to run a vCPU does not enter it while another core still answers its last exit.
func TestHandledElsewhere(t *testing.T) {
	s, m, root := quiet(t, 2, 2)
	v := root.VCPUs[1]
	u := v.Backend.(*vcpu)
	first, second := m.runners[1], m.runners[2]
	g := load[guest](&s.guests, u.world.Platform().VMCB)
	if !second.isRunnable(v) {
		t.Fatal("a vCPU that has just been started is not runnable")
	}
	// What second.turn does after Pick comes when first has entered, left, and is about to answer.
	if !u.enter(first) {
		t.Fatal("nobody is inside, and the vCPU cannot be entered")
	}
	u.handling.Store(true)
	u.leave()
	second.run(u, 0, false)
	if g.entries.Load() != 0 {
		t.Error("a second core entered while the first answers the exit")
	}
	if u.inside.Load()&1 != 0 {
		t.Error("who did not enter is still inside")
	}
	u.handling.Store(false)
	second.run(u, 0, false)
	if g.entries.Load() != 1 {
		t.Error("the second core did not enter when the first had answered the exit")
	}
}

// TestEnded: who has ended is not entered, and a guest that is inside is out when FreeVCPU returns.
func TestEnded(t *testing.T) {
	_, m, root := quiet(t, 2, 2)
	u := root.VCPUs[0].Backend.(*vcpu)
	m.kernel.End(root, abi.EndExit, 0, 0)
	if u.enter(m.runners[0]) {
		t.Fatal("a vCPU whose container is ending was entered")
	}
	if m.runners[0].isRunnable(root.VCPUs[0]) {
		t.Error("a vCPU whose container is ending is runnable")
	}
	for m.kernel.Step() {
	}
	select {
	case c := <-m.Endings():
		if c != root {
			t.Errorf("%q ended", c.Name)
		}
	default:
		t.Error("nobody was told that the container has ended")
	}
}
