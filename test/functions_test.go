package test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"nom.dev/nom/api"
)

// TestForeignFrames: what a container sends with another's source address or in a VLAN that it was not given. Hardware is told to drop
// foreign addresses; the emulation lets them out. No tag reaches a neighbour and the card inserts none, but a tag that is in the frame
// goes out. What happens is said here so that a change is noticed.
//
// Beside them an unchanged program sends a stream to a computer at the cable, of which segments are lost, and repairs several losses in one
// round trip, because it is told what arrived (RFC 6675).
//
// A third program has long packets of TCP cut by the card: what leaves is looked at, too. Two more send each other frames of 9014 bytes,
// which they have asked to be let in.
func TestForeignFrames(t *testing.T) {
	w, netdev := newWire(t)
	var mu sync.Mutex
	outside := map[string]bool{}
	far := newLossy(t, w)
	far.serve(t)
	bulk := run("test/programs/bulk", "10.0.2.78:9", "4000000").on(1).place("10.0.2.17/24")
	cut := &cutPackets{seen: map[tcpip.NetworkProtocolNumber]map[uint32]int{}}
	go w.receive(func(b []byte) {
		far.deliver(b)
		cut.note(b)
		mu.Lock()
		defer mu.Unlock()
		if text := says(b); text != "" {
			outside[fmt.Sprintf("%s from %x", text, b[6:12])] = true
		}
	})
	native := func(program, name string) *guest {
		g := run(program).named(name).on(1)
		g.NIC, g.Memory = true, 64*mib
		return g
	}
	o := boot(t, hardware{cpus: 2, memory: gib, netdev: netdev}, hostileNIC("listen"), hostileNIC("spoof"), bulk,
		native("test/programs/segments", "segments"), native("test/programs/jumbo", "jumbo-0"), native("test/programs/jumbo", "jumbo-1"))
	cut.check(o)
	for _, name := range []string{"jumbo-0", "jumbo-1"} {
		e, want := o.want(name, api.ReasonExit, 0), "got a frame of 9014 bytes, and so did the other\n"
		o.check(e.stdout == want, "%s printed %q, want %q", name, e.stdout, want)
	}
	t.Log(far)
	if err := far.repaired(); err != nil {
		t.Errorf("%v%s", err, o.said())
	}
	put := o.want("bulk", api.ReasonExit, 0).stdout
	t.Log(put)
	o.check(strings.HasSuffix(put, "equal: true\n"), "bulk printed %q", put)
	listener := o.want("listen", api.ReasonExit, 0)
	o.want("spoof", api.ReasonExit, 0)
	var address string
	if _, err := fmt.Sscanf(listener.stdout, "address %s\n", &address); err != nil {
		t.Fatalf("the listener printed %q", listener.stdout)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("the neighbour:\n%s", listener.stdout)
	for text, reaches := range map[string]bool{
		"own from": true, "foreign from 020102030405": true, "neighbour from " + address: true, "(in VLAN 7)": false, "tagged": false,
	} {
		o.check(strings.Contains(listener.stdout, "heard "+text) == reaches, "the neighbour heard %q: want %v", text, reaches)
	}
	all := strings.Join(slices.Sorted(maps.Keys(outside)), "\n")
	for text, reaches := range map[string]bool{
		"own from": true, "foreign from": true, "neighbour from " + address: true, "(in VLAN 7) tagged": true, "(in VLAN 7) inserted": false,
	} {
		o.check(strings.Contains(all, text) == reaches, "outside was seen %q: want %v", text, reaches)
	}
}

// TestFunctionsExhausted: one container more than there are network functions learns who holds them all, and they go on.
func TestFunctionsExhausted(t *testing.T) {
	const functions = 7
	w, netdev := newWire(t)
	var guests []*guest
	var names []string
	for i := range functions + 1 {
		g := hostileNIC("listen").named(fmt.Sprintf("c%d", i))
		guests = append(guests, g)
		names = append(names, g.Name)
	}
	refused, done := make(chan struct{}), make(chan struct{})
	go func() {
		<-refused
		for {
			w.send(broadcast("end"))
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	defer close(done)
	hw := hardware{cpus: 2, memory: gib, netdev: netdev, watch: func(ev api.Event) {
		if ev.Event == api.EventExit && ev.Container == names[functions] {
			close(refused)
		}
	}}
	o := boot(t, hw, guests...)
	want := fmt.Sprintf("no network function is free: the machine's %d are held by %s", functions, strings.Join(names[:functions], ", "))
	e := o.want(names[functions], api.ReasonStartFailed, api.CodeStartFailed)
	o.check(e.last().Error == want, "the last one learned %q, want %q", e.last().Error, want)
	for _, n := range names[:functions] {
		o.want(n, api.ReasonExit, 0)
	}
}

// TestDeathsInTransfer: containers end in the middle of receiving and transmitting, one after the other, three at a time. Each gets a
// network function though those before it have just given theirs up, and at the end nothing is lost: boot checks.
func TestDeathsInTransfer(t *testing.T) {
	deaths := 10
	if os.Getenv(soakEnv) != "" {
		deaths = 100
	}
	w, netdev := newWire(t)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for frame := broadcast("to whoever lives"); ; {
			w.send(frame)
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	var guests []*guest
	for i := range deaths {
		guests = append(guests, hostileNIC("die").named(fmt.Sprintf("die-%d", i)))
	}
	start := time.Now()
	o := boot(t, hardware{cpus: 2, memory: gib, parallel: 3, netdev: netdev, patience: 3 * defaultPatience}, guests...)
	for _, g := range guests {
		o.want(g.Name, api.ReasonMemory, api.CodeKilled)
	}
	o.check(!strings.Contains(o.console.String(), "iommu: blocked"), "something was blocked that was right")
	t.Logf("%d deaths in %v", deaths, time.Since(start))
}
