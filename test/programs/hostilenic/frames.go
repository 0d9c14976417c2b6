package main

import (
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

// spoof waits for the listener and then sends what is not its own: other source addresses, and VLANs.
func spoof(f *function) error {
	if err := f.awaitFrame("listening"); err != nil {
		return err
	}
	neighbour := f.MAC
	neighbour[4] ^= byte(f.Index+1)<<4 ^ byte(f.Index)<<4 // the function before this one
	f.broadcast("own")
	f.putFrame([6]byte{2, 1, 2, 3, 4, 5}, "foreign")
	f.transmitFrom(f.at(frame))
	f.putFrame(neighbour, "neighbour")
	f.transmitFrom(f.at(frame))
	f.sendTagged("tagged")
	f.sendInserted("inserted")
	f.broadcast("end")
	fmt.Println("sent everything")
	return nil
}

// sendTagged sends a frame with the tag of a VLAN in it.
func (f *function) sendTagged(says string) {
	f.putFrame(f.MAC, "\x00\x07\x88\xb5"+says)
	b := f.memory.Bytes()[frame:]
	b[12], b[13] = 0x81, 0x00
	f.transmitFrom(f.at(frame))
}

// sendInserted lets the device insert the tag.
func (f *function) sendInserted(says string) {
	f.putFrame(f.MAC, says)
	first, second := igb.Context{MACLen: 14, VLAN: 7}.Encode()
	f.describe(txRing, 0, first, second)
	f.describe(txRing, 1, f.at(frame), igb.TxFrame(frameLen)|igb.TxVLAN)
	f.transmit(f.at(txRing), 2, 0)
}

// awaitFrame receives until a frame says something.
func (f *function) awaitFrame(says string) error {
	q, err := openQueue()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for b, _ := q.Receive(); b != nil; b, _ = q.Receive() {
			text := words(b)
			q.Drop()
			if text == says {
				return nil
			}
		}
		q.Flush()
	}
	return fmt.Errorf("nobody said %q", says)
}

func openQueue() (*nic.Queue, error) {
	n, err := nic.Open(0, nic.Config{})
	if err != nil {
		return nil, err
	}
	return n.Queue(0), nil
}

// listen says that it is there, and prints what others say, until the end.
func listen(f *function) error {
	q, err := openQueue()
	if err != nil {
		return err
	}
	fmt.Printf("address %x\n", f.MAC)
	last := time.Time{}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if time.Since(last) > 50*time.Millisecond {
			last = time.Now()
			n := copy(q.Buffer(), "\xff\xff\xff\xff\xff\xff"+string(f.MAC[:])+"\x88\xb5listening"+string(make([]byte, 41)))
			q.Send(n, 0)
		}
		b, _ := q.Receive()
		if b == nil {
			q.Flush()
			time.Sleep(time.Millisecond)
			continue
		}
		text := words(b)
		from := fmt.Sprintf("%x", b[6:12])
		q.Drop()
		if text == "" || text == "listening" {
			continue
		}
		fmt.Printf("heard %s from %s\n", text, from)
		if text == "end" {
			return nil
		}
	}
	return errors.New("nobody said that this is the end")
}

// words is what a frame of the tests says, with its tag if it has one.
func words(b []byte) string {
	if len(b) < 20 {
		return ""
	}
	tag := ""
	if b[12] == 0x81 && b[13] == 0 {
		tag = fmt.Sprintf("(in VLAN %d) ", int(b[14])<<8|int(b[15]))
		b = b[4:]
	}
	if int(b[12])<<8|int(b[13]) != etherType {
		return ""
	}
	b = b[14:]
	for i, c := range b {
		if c < ' ' || c > '~' {
			b = b[:i]
			break
		}
	}
	return tag + string(b)
}

// dieWorking ends, by the touch of what it has given back, while the function sends and receives and raises interrupts.
func dieWorking(*function) error {
	n, err := nic.Open(0, nic.Config{Spare: 16})
	if err != nil {
		return err
	}
	if err := n.Arm(0, 0, 0x50); err != nil {
		return err
	}
	p, err := metal.Pages(1)
	if err != nil {
		return err
	}
	q, count := n.Queue(0), 0
	for deadline := time.Now().Add(time.Minute); count < 100; {
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d frames came", count)
		}
		if b := q.Buffer(); b != nil {
			q.Send(copy(b, "\xff\xff\xff\xff\xff\xff"+string(n.MAC[:])+"\x88\xb5dying"+string(make([]byte, 1400))), 0)
			q.Flush()
		}
		for b, _ := q.Receive(); b != nil; b, _ = q.Receive() {
			if count++; !keep(q, count) {
				q.Drop()
			}
		}
		q.Flush()
	}
	if _, err := metal.Hypercall(abi.CallReturnPages, p.Addr, 1, 0, 0, 0, 0); err != nil {
		return err
	}
	for range 200 {
		q.Send(copy(q.Buffer(), "\xff\xff\xff\xff\xff\xff"+string(n.MAC[:])+"\x88\xb5dying"+string(make([]byte, 1400))), 0)
	}
	q.Flush()
	p.Bytes()[0] = 1
	return errors.New("it lives")
}

// keep keeps some frames.
func keep(q *nic.Queue, n int) bool {
	if n%8 != 0 {
		return false
	}
	_, ok := q.Keep()
	return ok
}
