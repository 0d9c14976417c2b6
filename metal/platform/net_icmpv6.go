package main

import "nom.dev/nom/metal/inet"

// ICMPv6 (RFC 4443): answers to echo; what cannot be delivered, said and heard.

const (
	icmp6Unreachable = 1
	icmp6TooBig      = 2
	icmp6Echo        = 128
	icmp6EchoReply   = 129

	icmp6Port = 4 // a code of unreachable
)

func inputICMPv6(from, to ip, p *inet.IPv6, now uint64) {
	b := p.Payload
	if len(b) < inet.ICMPLen || inet.Checksum(pseudo(from, to, inet.ProtoICMPv6, len(b)), b) != 0 {
		netCount.badPacket++
		return
	}
	switch b[0] {
	case icmp6Echo:
		if to.isOwn6() && from.hi != 0 && mayTell(now) {
			sendICMPv6(to, from, icmp6EchoReply, 0, inet.Be32(b[4:]), b[inet.ICMPLen:], now)
		}
	case icmp6Unreachable:
		heardUnreachable6(b[1] == icmp6Port, 0, b[inet.ICMPLen:])
	case icmp6TooBig:
		heardUnreachable6(false, inet.Be32(b[4:]), b[inet.ICMPLen:])
	case inet.RouterAdvertisement, inet.NeighbourSolicitation, inet.NeighbourAdvertisement:
		inputNDP(from, to, p, now)
	}
}

func sendICMPv6(from, to ip, kind, code uint8, rest uint32, data []byte, now uint64) {
	b := nicBuffer()
	n := uint64(inet.ICMPLen + len(data))
	if b == 0 || n > mtu-inet.IPv6Len {
		return
	}
	p := bytesAt(b+frameHead6, n)
	p[0], p[1] = kind, code
	inet.PutBe32(p[4:], rest)
	copy(p[inet.ICMPLen:], data)
	finish6(b, from, to, inet.ProtoICMPv6, hopLimit, n, sumInICMP, now)
}

// heardUnreachable6 is what a router or the peer says of a packet of ours, whose first bytes it quotes. limit is the longest that can be
// passed on, or 0.
func heardUnreachable6(nobody bool, limit uint32, quoted []byte) {
	if len(quoted) < inet.IPv6Len+8 || quoted[0]>>4 != 6 {
		return
	}
	from, to := fromBytes(quoted[8:]), fromBytes(quoted[24:])
	if !from.isOwn6() {
		return
	}
	if limit != 0 { // LimitMSS counts the header of IPv4
		limit = max(limit, leastMTU6) - (inet.IPv6Len - inet.IPv4Len)
	}
	heardOf(quoted[6], from, to, quoted[inet.IPv6Len:], nobody, limit)
}

// fromBytes reads an address of IPv6.
func fromBytes(b []byte) ip {
	return ip{uint64(inet.Be32(b))<<32 | uint64(inet.Be32(b[4:])), uint64(inet.Be32(b[8:]))<<32 | uint64(inet.Be32(b[12:]))}
}
