package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// The container's address by DHCP: inet.DHCPClient decides, here is what it decides about. The program's first thread starts when there is an
// address, or after a while: programs look names up and connect when they start, and few try again. Later, a container without an address
// is what Linux is without one: nobody outside can be reached, and who listens goes on listening.

var dhcp struct {
	on      bool
	client  inet.DHCPClient
	waiting *thread // the program's first one, until there is an address
	until   uint64  // then it starts without

	hosts, resolver node // files that say where the container is, 0: the program has others
}

const (
	leaseWait = 10_000_000_000
	waitLease = 18 // what a thread waits for
)

// initDHCP begins to ask for an address; the timer goes on.
func initDHCP(now uint64) {
	dhcp.on, dhcp.until = true, now+leaseWait
	dhcp.client.Start(net.mac, net.key, machineName(), now)
}

// awaitLease keeps the program's first thread from running until there is an address. False: it need not wait.
func awaitLease(t *thread) bool {
	if !dhcp.on {
		return false
	}
	t.wait = waitLease
	dhcp.waiting = t
	return true
}

// endAwaitLease lets the program run, if it waits.
func endAwaitLease() {
	t := dhcp.waiting
	dhcp.waiting = nil
	if t != nil && t.wait == waitLease { // a signal may have been first
		ready(t)
	}
}

// timerDHCP does what the time has come for.
func timerDHCP(now uint64) {
	if !dhcp.on {
		return
	}
	var m inet.DHCP
	doDHCP(dhcp.client.Expire(&m, now), &m, now)
	if dhcp.waiting == nil {
		return
	}
	if now >= dhcp.until {
		print0("nom: no DHCP server has given an address in ten seconds: the program starts without, and more is asked for\n")
		endAwaitLease()
		return
	}
	netWakeAt(dhcp.until)
}

// inputDHCP takes a packet that is a message of a DHCP server. False: it is none.
func inputDHCP(hardware uint64, p *inet.IPv4, from, to ip, now uint64) bool {
	var u inet.UDP
	if !dhcp.on || p.Proto != inet.ProtoUDP || p.More || p.Fragment != 0 || !inet.ParseUDP(p.Payload, &u) ||
		u.To != inet.DHCPClientPort || u.From != inet.DHCPServerPort {
		return false
	}
	if u.Sum && !checked(hardware, from, to, inet.ProtoUDP, p.Payload) {
		return true
	}
	var m inet.DHCP
	if !inet.ParseDHCP(u.Payload, &m) {
		drop(abi.DropMalformed)
		return true
	}
	doDHCP(dhcp.client.Input(&m, now), &m, now)
	return true
}

// conflictDHCP hears that somebody with another Ethernet address has an address, or wants it.
func conflictDHCP(a uint32, mac, now uint64) {
	if dhcp.client.Looking() && a == dhcp.client.Offered.Address && mac != net.mac {
		var m inet.DHCP
		doDHCP(dhcp.client.Conflict(&m, now), &m, now)
	}
}

// doDHCP does what the client says.
func doDHCP(do inet.DHCPDo, m *inet.DHCP, now uint64) {
	if do&inet.DHCPDrop != 0 {
		printAddress("nom: the lease has ended: the address is given up: ")
		setPlace(ip{}, 0, ip{})
		writePlace()
	}
	if do&(inet.DHCPTell|inet.DHCPAsk) != 0 {
		sendDHCP(m, do&inet.DHCPAsk != 0, now)
	}
	if do&inet.DHCPLook != 0 {
		sendARP(arpRequest, 0xffff_ffff_ffff, 0, ip{0, mapped | uint64(dhcp.client.Offered.Address)})
		nicFlush()
	}
	if do&inet.DHCPUse != 0 {
		useLease()
	}
	if d := dhcp.client.Deadline(); d != 0 {
		netWakeAt(d)
	}
}

// sendDHCP sends a message to the lease's server, or to everybody.
func sendDHCP(m *inet.DHCP, ask bool, now uint64) {
	b := frameBuffer()
	if b == 0 {
		return
	}
	n := inet.UDPLen + m.Put(bytesAt(b+frameHead+inet.UDPLen, inet.DHCPMost))
	from, to := uint32(0), ^uint32(0)
	if ask {
		from, to = dhcp.client.Lease.Address, dhcp.client.Lease.Server
	}
	h := bytesAt(b+inet.EthernetLen, inet.IPv4Len+inet.UDPLen)
	inet.PutIPv4(h, from, to, inet.ProtoUDP, 0, n)
	sum := inet.Fold(inet.PseudoIPv4(from, to, inet.ProtoUDP, n))
	inet.PutUDP(h[inet.IPv4Len:], inet.DHCPClientPort, inet.DHCPServerPort, n-inet.UDPLen, sum)
	if ask {
		sendTo(ip{0, mapped | uint64(to)}, frameHead+uint64(n), sendUDP, now)
	} else {
		putEthernet(b, 0xffff_ffff_ffff, inet.TypeIPv4)
		nicSend(frameHead+uint64(n), sendUDP)
	}
	nicFlush()
}

// useLease gives the container the place that the lease says.
func useLease() {
	l := &dhcp.client.Lease
	a, router := ip{0, mapped | uint64(l.Address)}, ip{}
	if l.Router != 0 {
		router = ip{0, mapped | uint64(l.Router)}
	}
	fresh := !a.equal(net.address)
	setPlace(a, ^uint64(^uint32(0))|uint64(l.Mask), router)
	writePlace()
	if fresh {
		announce()
		printAddress("nom: the container has an address by DHCP: ")
	}
	endAwaitLease()
}

// setPlace is where the container is from now on. Neighbours of another network are forgotten.
func setPlace(a ip, mask uint64, router ip) {
	if !a.equal(net.address) || mask != net.mask {
		for i := range neighbours {
			if n := &neighbours[i]; n.address.is4() {
				n.forgetWaiting()
				*n = neighbour{}
			}
		}
	}
	net.address, net.mask, net.router = a, mask, router
	gateway.own[0], gateway.count = a, 1
	if a.lo == 0 {
		gateway.count = 0
	}
}

// foreignSource tells whether the packet of IPv4 in nicBuffer comes from an address that the container has no more.
func foreignSource() bool {
	return dhcp.on && inet.Be32(bytesAt(nicBuffer()+inet.EthernetLen+12, 4)) != uint32(net.address.lo)
}

// keepPlaceFiles notes which files say where the container is, and keeps their numbers, whatever the program does with them.
func keepPlaceFiles(hosts, resolver node) {
	dhcp.hosts, dhcp.resolver = hosts, resolver
	if hosts != 0 {
		hosts.hold()
	}
	if resolver != 0 {
		resolver.hold()
	}
}

// writePlace writes the files that say where the container is anew.
func writePlace() {
	if dhcp.hosts != 0 {
		rewrite(dhcp.hosts, writeHosts)
	}
	if dhcp.resolver != 0 {
		rewrite(dhcp.resolver, writeResolver)
	}
}

// writeServers names the lease's servers of names.
func writeServers(t *text) {
	l := &dhcp.client.Lease
	if !dhcp.client.Bound() {
		return
	}
	for i := range l.NumDNS {
		t.put("nameserver ")
		t.address(l.DNS[i])
		t.byte('\n')
	}
}

// address writes an address of IPv4.
func (t *text) address(a uint32) {
	for i := range uint32(4) {
		after := "."
		if i == 3 {
			after = ""
		}
		t.dec(uint64(a>>(24-8*i)&0xff), after)
	}
}

// printAddress says what the container's address is.
func printAddress(what string) {
	for i := range len(what) {
		printByte(what[i])
	}
	for i := range uint64(4) {
		printDecimal(net.address.lo >> (24 - 8*i) & 0xff)
		if i != 3 {
			printByte('.')
		}
	}
	printByte('/')
	printDecimal(uint64(ownBits()))
	print0("\n")
}
