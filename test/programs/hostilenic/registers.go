package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

// resetForever resets the function over and over, and needs it to work afterwards.
func resetForever(f *function) error {
	resets := 0
	for start := time.Now(); time.Since(start) < 3*time.Second; resets++ { // the nonkernel forgives four
		f.Write32(igb.VTCTRL, igb.CTRL_RST)
	}
	fmt.Printf("reset %d times\n", resets)
	return works()
}

// works drives the function as a good program does, until a frame goes out and comes back.
func works() error {
	var f *nic.Function
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if f, err = nic.Open(0, nic.Config{}); err == nil {
			break
		}
		if !errors.Is(err, nic.ErrReset) || time.Now().After(deadline) {
			return fmt.Errorf("the function never worked again: %w", err)
		}
	}
	defer f.Stop()
	q := f.Queue(0)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		b := q.Buffer()
		n := copy(b, "\xff\xff\xff\xff\xff\xff")
		n += copy(b[n:], f.MAC[:])
		n += copy(b[n:], []byte{etherType >> 8, etherType & 0xff})
		q.Send(n+copy(b[n:], make([]byte, frameLen-14)), 0)
		q.Flush()
		if b, _ := q.Receive(); b != nil {
			q.Drop()
			fmt.Println("works again")
			return nil
		}
	}
	return errors.New("nothing comes back from the function")
}

// writeEverything writes random values to every register, known or not, in accesses of every size, and rings at random. What is an
// address gets one that is not the container's, so that only others could be hurt.
func writeEverything(f *function) error {
	r := rand.New(rand.NewPCG(1, 2))
	keep := map[uint32]bool{igb.VTCTRL: true} // its turn comes at the end
	for range 20 {
		f.setBases(r)
		for at := uint32(0); at < uint32(f.BAR.Size); at += 4 {
			if v := value(r); !keep[at] && !base(at) {
				f.Write32(at, v)
				f.Read32(at)
			}
		}
	}
	f.setBases(r)
	for range 20_000 { // bytes, and doorbells between them
		at := uint32(r.UintN(uint(f.BAR.Size)))
		if !base(at&^3) && at&^3 != igb.VTCTRL {
			f.registers[at] = byte(r.Uint32())
		}
		queue := uint32(r.UintN(2))
		f.Write32(igb.VFRxQueue(queue)+igb.RDT, value(r))
		f.Write32(igb.VFTxQueue(queue)+igb.TDT, value(r))
	}
	for range 100 {
		f.Write32(igb.VTCTRL, value(r))
	}
	f.quiet()
	fmt.Println("wrote everything")
	return works()
}

// value draws a value that may mean something.
func value(r *rand.Rand) uint32 {
	switch r.UintN(4) {
	case 0:
		return 1 << r.UintN(32)
	case 1:
		return r.Uint32() >> r.UintN(32)
	case 2:
		return ^uint32(0)
	}
	return r.Uint32()
}

// bases are the registers of a queue that hold addresses.
var bases = []uint32{rxBase(0), rxBase(1), txBase(0), txBase(1), headBase(0), headBase(1)}

func rxBase(n uint32) uint32   { return igb.VFRxQueue(n) + igb.RDBAL }
func txBase(n uint32) uint32   { return igb.VFTxQueue(n) + igb.TDBAL }
func headBase(n uint32) uint32 { return igb.VFTxQueue(n) + igb.TDWBAL }

// base says whether a register holds half of an address.
func base(at uint32) bool {
	for _, b := range bases {
		if at == b || at == b+4 {
			return true
		}
	}
	return false
}

// setBases puts all rings beyond the container's memory.
func (f *function) setBases(r *rand.Rand) {
	for _, b := range bases {
		f.Write32(b+4, 1+r.Uint32N(1<<16))
		f.Write32(b, r.Uint32())
	}
}

// quiet stops the queues and takes back what can be taken back.
func (f *function) quiet() {
	for n := range uint32(2) {
		f.Write32(igb.VFRxQueue(n)+igb.RXDCTL, 0)
		f.Write32(igb.VFTxQueue(n)+igb.TXDCTL, 0)
		f.Write32(headBase(n), 0)
	}
	f.Write32(igb.VTEIMC, ^uint32(0))
}

// routeWrongly asks for interrupts that nobody may have, and then moves its own about.
func routeWrongly(f *function) error {
	d := uint64(f.Index)
	for _, c := range []struct {
		call abi.Call
		args [4]uint64
		want error
	}{
		{abi.CallRoute, [4]uint64{d, 0, 0, 0}, abi.EINVAL},                         // the vector of an exception
		{abi.CallRoute, [4]uint64{d, 0, 0, 2}, abi.EINVAL},                         // an NMI
		{abi.CallRoute, [4]uint64{d, 0, 0, abi.FirstDeviceVector - 1}, abi.EINVAL}, // the nonkernel's own
		{abi.CallRoute, [4]uint64{d, 0, 0, abi.LastDeviceVector + 1}, abi.EINVAL},  // likewise
		{abi.CallRoute, [4]uint64{d, 0, 0, 0x150}, abi.EINVAL},                     // 0x50 in its low byte
		{abi.CallRoute, [4]uint64{d, 0, 1, 0x50}, abi.EINVAL},                      // a vCPU that is not there
		{abi.CallRoute, [4]uint64{d, 0, ^uint64(0), 0x50}, abi.EINVAL},             //
		{abi.CallRoute, [4]uint64{d, uint64(f.Vectors), 0, 0x50}, abi.EINVAL},      // an entry that is not there
		{abi.CallRoute, [4]uint64{d, 1 << 32, 0, 0x50}, abi.EINVAL},                // entry 0 in its low half
		{abi.CallRoute, [4]uint64{d + 1, 0, 0, 0x50}, abi.ENOENT},                  // another's function
		{abi.CallRoute, [4]uint64{0, 0, 0, 0x50}, abi.ENOENT},                      // likewise
		{abi.CallRoute, [4]uint64{^uint64(0), 0, 0, 0x50}, abi.ENOENT},             // nobody's
		{abi.CallMaskDevice, [4]uint64{d, 0, 0}, abi.EBUSY},                        // not routed
		{abi.CallMaskDevice, [4]uint64{d, 0, 2}, abi.EINVAL},                       //
		{abi.CallMaskDevice, [4]uint64{d, uint64(f.Vectors), 1}, abi.EINVAL},       //
		{abi.CallMaskDevice, [4]uint64{0, 0, 1}, abi.ENOENT},                       //
		{abi.CallGrantDevice, [4]uint64{0, d, f.BAR.Addr}, abi.ENOENT},             // to root
		{abi.CallGrantDevice, [4]uint64{^uint64(0), d, f.BAR.Addr}, abi.ENOENT},    // to nobody
		{abi.CallLimitDevice, [4]uint64{0, d}, abi.ENOENT},                         // its own limit
		{abi.CallLimitDevice, [4]uint64{1, 0}, abi.ENOENT},                         // another's
		{abi.CallDeviceStatus, [4]uint64{0, d + 1, f.memory.Addr}, abi.ENOENT},     //
		{abi.CallDeviceStatus, [4]uint64{0, d, f.BAR.Addr}, abi.EFAULT},            // into the registers
		{abi.CallDescribeDevice, [4]uint64{0, 0}, abi.EFAULT},                      // into page 0
		{abi.CallDescribeDevice, [4]uint64{0, f.BAR.Addr}, abi.EFAULT},             // into the registers
		{abi.CallDescribeDevice, [4]uint64{1, f.memory.Addr + frame}, abi.ENOENT},  // the second
	} {
		_, err := metal.Hypercall(c.call, c.args[0], c.args[1], c.args[2], c.args[3], 0, 0)
		if !errors.Is(err, c.want) {
			return fmt.Errorf("call %d with %#x answered %v, want %v", c.call, c.args, err, c.want)
		}
	}
	fmt.Println("refused everything")
	return f.routeAbout()
}

// routeAbout moves and closes entries while each of them raises interrupts.
func (f *function) routeAbout() error {
	var handlers []interface{ Close() error }
	for vector := abi.FirstDeviceVector; vector <= abi.LastDeviceVector; vector++ {
		if h, err := metal.OpenVector(vector); err == nil {
			handlers = append(handlers, h)
		}
	}
	f.Write32(igb.VTEIAC, 7)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 5000 {
		entry, vector := r.Uint64N(uint64(f.Vectors)), abi.FirstDeviceVector+r.Uint64N(abi.LastDeviceVector-abi.FirstDeviceVector+1)
		if _, err := metal.Hypercall(abi.CallRoute, uint64(f.Index), entry, 0, vector, 0, 0); err != nil {
			return fmt.Errorf("route %d: %w", i, err)
		}
		// Entries of others' functions, too: only the emulation lets them through, until the nonkernel looks.
		f.Write32(igb.VTIVAR, uint32(r.Uint64()))
		f.Write32(igb.VTEIMS, 7)
		f.Write32(igb.VTEICS, 7)
		if _, err := metal.Hypercall(abi.CallMaskDevice, uint64(f.Index), entry, r.Uint64N(2), 0, 0, 0); err != nil {
			return fmt.Errorf("mask %d: %w", i, err)
		}
	}
	for _, h := range handlers {
		if err := h.Close(); err != nil {
			return err
		}
	}
	fmt.Println("routed everything")
	return nil
}
