package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// ICMP (RFC 792): answers to echo; what cannot be delivered, said and heard.

const (
	icmpEchoReply   = 0
	icmpUnreachable = 3
	icmpEcho        = 8

	icmpPort      = 3 // codes of unreachable
	icmpNeedsFrag = 4
	icmpsASecond  = 100
)

var icmpBudget struct{ second, left uint64 }

// mayTell bounds how many messages are sent in answer to what others send.
func mayTell(now uint64) bool {
	if s := now / nanos; s != icmpBudget.second {
		icmpBudget.second, icmpBudget.left = s, icmpsASecond
	}
	if icmpBudget.left == 0 {
		return false
	}
	icmpBudget.left--
	return true
}

func inputICMP(from, to ip, b []byte, now uint64) {
	if len(b) < inet.ICMPLen || inet.Checksum(0, b) != 0 {
		drop(abi.DropMalformed)
		return
	}
	switch b[0] {
	case icmpEcho:
		if to.equal(net.address) && mayTell(now) {
			answerEcho(from, b, now)
		}
	case icmpUnreachable:
		heardUnreachable(b[1], inet.Be16(b[6:]), b[inet.ICMPLen:])
	}
}

// answerEcho sends b back.
func answerEcho(to ip, b []byte, now uint64) {
	if len(b) <= mtu-inet.IPv4Len {
		sendICMP(to, icmpEchoReply, 0, inet.Be32(b[4:]), b[inet.ICMPLen:], now)
		return
	}
	b[0], b[1], b[2], b[3] = icmpEchoReply, 0, 0, 0 // it was put together from fragments, in memory of ours
	inet.PutBe16(b[2:], inet.Checksum(0, b))
	nextPacketID()
	sendCut(net.address, to, inet.ProtoICMP, b, now)
}

func sendICMP(to ip, kind, code uint8, rest uint32, data []byte, now uint64) {
	b := frameBuffer()
	n := uint64(inet.ICMPLen + len(data))
	if b == 0 || n > mtu-inet.IPv4Len {
		return
	}
	p := bytesAt(b+frameHead, n)
	p[0], p[1], p[2], p[3] = kind, code, 0, 0
	inet.PutBe32(p[4:], rest)
	copy(p[inet.ICMPLen:], data)
	inet.PutBe16(p[2:], inet.Checksum(0, p))
	inet.PutIPv4(bytesAt(b+inet.EthernetLen, inet.IPv4Len), uint32(net.address.lo), uint32(to.lo), inet.ProtoICMP, 0, int(n))
	sendTo(to, frameHead+n, sendIP, now)
}

// unreachable says that nobody has the port to which a datagram came.
func unreachable(packet []byte, from, to ip) {
	if now := nanotime(); mayTell(now) {
		if !to.is4() {
			sendICMPv6(to, from, icmp6Unreachable, icmp6Port, 0, packet[:min(len(packet), leastMTU6-inet.IPv6Len-inet.ICMPLen)], now)
			return
		}
		const quoted = inet.IPv4Len + 8
		sendICMP(from, icmpUnreachable, icmpPort, 0, packet[:min(len(packet), quoted)], now)
	}
}

// heardUnreachable is what a router or the peer says of a packet of ours, whose first bytes it quotes.
func heardUnreachable(code uint8, nextMTU uint16, quoted []byte) {
	if len(quoted) < inet.IPv4Len || quoted[0]>>4 != 4 || inet.Be32(quoted[12:]) != uint32(net.address.lo) {
		return
	}
	head := int(quoted[0]&15) * 4
	if head < inet.IPv4Len || len(quoted) < head+8 {
		return
	}
	to := ip{0, mapped | uint64(inet.Be32(quoted[16:]))}
	v := verdict{}
	switch {
	case code == icmpNeedsFrag:
		v.limit = max(uint32(nextMTU), 1)
	case int(code) < len(icmpVerdicts):
		v = icmpVerdicts[code]
	}
	heardOf(quoted[9], net.address, to, quoted[head:], v)
}

// verdict is what became of a packet of ours: it was longer than the limit, if that is not 0, or could not be delivered.
type verdict struct {
	errno uint32
	final bool // it makes no sense to try again
	limit uint32
}

// icmpVerdicts is what the codes of unreachable mean, as on Linux (icmp_err_convert).
var icmpVerdicts = [...]verdict{
	{errno: eNETUNREACH}, {errno: eHOSTUNREACH}, {eNOPROTOOPT, true, 0}, {eCONNREFUSED, true, 0}, {}, {errno: eOPNOTSUPP},
	{eNETUNREACH, true, 0}, {eHOSTDOWN, true, 0}, {eNONET, true, 0}, {eNETUNREACH, true, 0}, {eHOSTUNREACH, true, 0},
	{errno: eNETUNREACH}, {errno: eHOSTUNREACH}, {eHOSTUNREACH, true, 0}, {eHOSTUNREACH, true, 0}, {eHOSTUNREACH, true, 0},
}

// heardOf is what became of a packet of ours. quoted begins with its ports; eight bytes are there.
func heardOf(proto uint8, from, to ip, quoted []byte, v verdict) {
	fromPort, port := inet.Be16(quoted), inet.Be16(quoted[2:])
	switch proto {
	case inet.ProtoUDP:
		r := findReceiver(sockDatagram, from, fromPort, to, port)
		if r == 0 || !v.final {
			return
		}
		if s := socketAt(uint64(r)); s.state == sockConnected && s.remotePort == port && s.remote.equal(to) {
			s.err = v.errno
			socketEvent(r)
		}
	case inet.ProtoTCP:
		n := findConnection(from, fromPort, to, port)
		if n == 0 || !connectionAt(n).InFlight(inet.Seq(inet.Be32(quoted[4:]))) { // who does not know what was sent has not seen it (RFC 5927)
			return
		}
		if v.limit != 0 {
			tooBig(n, v.limit)
		} else {
			unconnectable(n, v.errno)
		}
	}
}

// unconnectable ends the attempt to connect, if connection n is one. An error does not end what is established: it may pass.
func unconnectable(n, e uint32) {
	c := connectionAt(n)
	i := c.socket
	if e == 0 || i == 0 {
		return
	}
	s := socketAt(uint64(i))
	if s.state != sockConnecting || s.descriptorless() {
		return
	}
	s.conn, c.socket = 0, 0
	s.refuse(i, e)
	freeConnection(n)
}

// tooBig is what somebody says of a segment of connection n.
func tooBig(n, mtu uint32) {
	connectionAt(n).LimitMSS(mtu)
	outputTCP(n, nanotime())
}
