package main

import (
	"math/bits"

	"nom.dev/nom/metal/inet"
)

// Time-outs of connections: a wheel of slots of four milliseconds. A connection whose time moves to later stays where it is and is
// moved when its slot comes: most times of TCP are never reached.

const (
	wheelSlots = 256
	wheelShift = 22 // a slot is 2^22 nanoseconds
	checkNIC   = 1_000_000_000
)

var wheel struct {
	heads [wheelSlots]uint32
	used  [wheelSlots / 64]uint64
	tick  uint64 // all slots up to it were looked at
}

// setTimeout puts connection n where its next time-out is.
func setTimeout(n uint32, now uint64) {
	c := connectionAt(n)
	d := c.Deadline()
	if c.stuck {
		d = now + 1
	}
	if d == 0 || c.inWheel && c.wheelTime <= d {
		return
	}
	leaveWheel(n)
	tick := min(max(d>>wheelShift+1, wheel.tick+1), wheel.tick+wheelSlots-1)
	slot := tick % wheelSlots
	c.slot, c.inWheel, c.wheelTime = uint8(slot), true, tick<<wheelShift
	c.earlier, c.later = 0, wheel.heads[slot]
	if c.later != 0 {
		connectionAt(c.later).earlier = n
	}
	wheel.heads[slot] = n
	wheel.used[slot/64] |= 1 << (slot % 64)
	netWakeAt(c.wheelTime)
}

func leaveWheel(n uint32) {
	c := connectionAt(n)
	if !c.inWheel {
		return
	}
	c.inWheel = false
	if c.later != 0 {
		connectionAt(c.later).earlier = c.earlier
	}
	if c.earlier != 0 {
		connectionAt(c.earlier).later = c.later
		return
	}
	wheel.heads[c.slot] = c.later
	if c.later == 0 {
		wheel.used[c.slot/64] &^= 1 << (c.slot % 64)
	}
}

// netTimer does what the time has come for.
func netTimer(now uint64) {
	if now < net.deadline {
		return
	}
	net.deadline, net.clock = never, now
	if net.looked {
		net.looked = false
		netWakeAt(now + pollInterval)
	} else {
		netLookAfter(now)
	}
	askStale(now)
	timerIPv6(now)
	timerDHCP(now)
	for end := now >> wheelShift; wheel.tick < end; {
		wheel.tick++
		if wheel.tick+wheelSlots < end {
			wheel.tick = end - wheelSlots
		}
		slot := wheel.tick % wheelSlots
		for wheel.heads[slot] != 0 {
			timedOut(wheel.heads[slot], now)
		}
	}
	if now >= net.checkAt {
		net.checkAt = now + checkNIC
		nicCheck()
	}
	nicFlush()
	nicNudge(now)
	netWakeAt(nextTimeout(now))
}

// netLookAfter polls for those who do not.
func netLookAfter(now uint64) {
	netPoll()
	switch {
	case net.armed:
	case nicPending():
		netWakeAt(now + pollInterval)
	default:
		netSleep()
	}
}

// timedOut looks at the first connection of a slot.
func timedOut(n uint32, now uint64) {
	leaveWheel(n)
	c := connectionAt(n)
	c.stuck = false
	if d := c.Deadline(); d != 0 && d <= now {
		if e := c.Expire(now); e != 0 && c.socket != 0 {
			i := c.socket
			socketAt(uint64(i)).connectionEvents(i, c, e, now)
		}
		if c.State() == inet.Closed {
			freeConnection(n)
			return
		}
	}
	outputTCP(n, now)
}

// nextTimeout is when the first slot that is used comes, or the function is to be looked at.
func nextTimeout(now uint64) uint64 {
	t := net.checkAt
	for k := uint64(1); k < wheelSlots; {
		slot := (wheel.tick + k) % wheelSlots
		rest := wheel.used[slot/64] >> (slot % 64)
		if rest != 0 {
			k += uint64(bits.TrailingZeros64(rest))
			if k < wheelSlots {
				t = min(t, (wheel.tick+k)<<wheelShift)
			}
			break
		}
		k += 64 - slot%64
	}
	return max(t, now+1)
}
