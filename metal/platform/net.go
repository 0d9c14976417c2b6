package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// The network: TCP/IP on the container's own network function, beneath the sockets. A frame that arrives is handled to its end by
// whoever finds it: a poller that looks for work, a read that found nothing, or the function's interrupt while everybody sleeps.
//
//	net.go          this overview, where the container is in the network, when the ring is polled
//	net_nic.go      rings of the network function
//	net_input.go    frames that arrive
//	net_fragment.go  datagrams in several packets
//	net_output.go   frames that leave: routes, headers
//	net_ipv6.go     packets of IPv6
//	net_ndp.go      neighbours and addresses of IPv6
//	net_icmpv6.go   echo, and what cannot be delivered, of IPv6
//	net_dhcp.go     the container's address, when a server gives it
//	net_neighbour.go  who has which Ethernet address (ARP)
//	net_icmp.go     echo, and what cannot be delivered
//	net_tcp.go      connections: table, segments in and out, batches of them
//	net_listen.go   connections that others begin
//	net_timer.go    time-outs
//	net_capture.go  copies of frames, for who asks
//	socket_outside.go  how sockets use all that
//
// What segments mean is decided in package metal/inet. Everything is guarded by kernelLock. A container without a place in a
// network, or with a companion that has the network function (socket_gateway.go), has none of this.

var net struct {
	up      bool
	armed   bool   // the interrupt is enabled: somebody sleeps
	address ip     // 0: none yet, by DHCP
	mask    uint64 // of the low half of addresses
	router  ip     // 0: none
	mac     uint64
	key     inet.Key

	looked bool   // since the timer came last, somebody looked into the ring who will do so again
	clock  uint64 // nanotime when something arrived or the timer came last

	deadline uint64 // nanotime of the next time-out, or never
	checkAt  uint64
}

// netVector is the interrupt of the function's queue.
const netVector = 0x50

// initNet brings the network up if the container has a place in one and no companion. An address that is not understood ends the
// container: it must not run without the network that it was meant to have.
func initNet(b *abi.BootPage) {
	net.deadline = never
	if b.Companion != 0 || b.NumDevices == 0 {
		return
	}
	text, stack := environment(abi.AddressEnv+"="), environment(abi.StackEnv+"=")
	if len(text) == 0 || len(stack) != 0 && stringAt(addressOf(&stack[0]), uint64(len(stack))) == abi.StackOwn {
		return
	}
	asks := stringAt(addressOf(&text[0]), uint64(len(text))) == abi.AddressDHCP
	if !asks {
		staticPlace(text)
	}
	randomBytes(addressOf(&net.key), 16)
	randomBytes(addressOf(&packetID6), 4)
	if !nicOpen(&b.Devices[0]) {
		fatal("no memory for the queues of the network function")
	}
	net.up, net.deadline = true, 0 // the timer looks after the function from now on
	if asks {
		initDHCP(nanotime())
	}
	prepareFiles()
	if !preparePorts() { // somebody may knock before the program has made a socket
		fatal("no memory for the table of ports")
	}
	if !asks {
		announce()
	}
	initIPv6(nanotime())
}

// staticPlace reads where the container is from ADDRESS/BITS, and who leads out of there from the environment.
func staticPlace(text []byte) {
	prefix, bits := text, uint64(0)
	for i := range text {
		if text[i] == '/' {
			prefix = text[:i]
			for _, c := range text[i+1:] {
				bits = bits*10 + uint64(c-'0')
			}
		}
	}
	a, ok := parseIPv4(prefix)
	if !ok || bits == 0 || bits > 30 {
		fatal("the container's address in the network cannot be read: NOM_ADDRESS must be ADDRESS/BITS, or dhcp")
	}
	router := ip{}
	if g := environment(abi.GatewayEnv + "="); len(g) != 0 {
		if router, ok = parseIPv4(g); !ok {
			fatal("the network's gateway cannot be read: NOM_GATEWAY must be an address")
		}
	}
	setPlace(a, ^uint64(0)<<(32-bits), router)
}

// parseIPv4 reads a.b.c.d.
func parseIPv4(b []byte) (ip, bool) {
	v, part, digits, dots := uint64(0), uint64(0), 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' && digits < 3:
			part = part*10 + uint64(c-'0')
			digits++
		case c == '.' && digits != 0 && dots < 3 && part < 256:
			v, part, digits = v<<8|part, 0, 0
			dots++
		default:
			return ip{}, false
		}
	}
	return ip{0, mapped | v<<8 | part}, dots == 3 && digits != 0 && part < 256
}

// pollBatch is how many frames are handled before others get a turn.
const pollBatch = 64

// netPoll handles what has arrived. It costs a load when that is nothing.
func netPoll() {
	if !net.up || !nicPending() {
		return
	}
	now := nanotime()
	net.clock = now
	n := 0
	for ; n < pollBatch; n++ {
		f, ok := nicReceive()
		if !ok {
			break
		}
		netInput(&f, now)
		nicRelease()
	}
	if n == pollBatch { // what is left raises no interrupt
		netWakeAt(now + pollInterval)
	}
	outputDue(now)
	nicFlush()
}

// netSleep is called before a thread waits for the network: what arrives from here on raises an interrupt. True: something
// arrived meanwhile.
func netSleep() bool {
	if !net.up {
		return false
	}
	nicFlush()
	if net.armed {
		return false
	}
	net.armed = true
	nicArm()
	if !nicPending() {
		return false
	}
	netPoll()
	return true
}

// netInterrupt handles the function's interrupt. Further ones are off until somebody sleeps again; if nobody does, the timer
// looks after the ring. When what arrived woke nobody, as acknowledgements do, this processor sleeps again at once.
func netInterrupt() {
	nicDisarm()
	net.armed = false
	netPoll()
	if c := cpu(); c.current == c.idle && c.queue.n == 0 {
		netSleep()
	}
	netWakeAt(nanotime() + pollInterval)
}

// pollInterval bounds how long a frame waits while no thread polls and none sleeps.
const pollInterval = 2_000_000

// netWakeAt makes the timer look at the network at the given time.
func netWakeAt(t uint64) { net.deadline = min(net.deadline, t) }
