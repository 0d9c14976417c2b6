package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

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
		drop(abi.DropMalformed)
		return
	}
	switch b[0] {
	case icmp6Echo:
		if to.isOwn6() && from.hi != 0 && mayTell(now) {
			sendICMPv6(to, from, icmp6EchoReply, 0, inet.Be32(b[4:]), b[inet.ICMPLen:], now)
		}
	case icmp6Unreachable:
		if int(b[1]) < len(icmp6Verdicts) {
			heardUnreachable6(icmp6Verdicts[b[1]], b[inet.ICMPLen:])
		}
	case icmp6TooBig: // LimitMSS counts the header of IPv4
		heardUnreachable6(verdict{limit: max(inet.Be32(b[4:]), leastMTU6) - (inet.IPv6Len - inet.IPv4Len)}, b[inet.ICMPLen:])
	case inet.RouterAdvertisement, inet.NeighbourSolicitation, inet.NeighbourAdvertisement:
		inputNDP(from, to, p, now)
	}
}

func sendICMPv6(from, to ip, kind, code uint8, rest uint32, data []byte, now uint64) {
	b := frameBuffer()
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

// icmp6Verdicts is what the codes of unreachable mean, as on Linux (icmpv6_err_convert).
var icmp6Verdicts = [...]verdict{
	{errno: eNETUNREACH}, {eACCES, true, 0}, {errno: eHOSTUNREACH}, {errno: eHOSTUNREACH}, {eCONNREFUSED, true, 0}, {eACCES, true, 0}, {eACCES, true, 0},
}

// heardUnreachable6 is what a router or the peer says of a packet of ours, whose first bytes it quotes.
func heardUnreachable6(v verdict, quoted []byte) {
	if len(quoted) < inet.IPv6Len+8 || quoted[0]>>4 != 6 {
		return
	}
	from, to := fromBytes(quoted[8:]), fromBytes(quoted[24:])
	if !from.isOwn6() {
		return
	}
	heardOf(quoted[6], from, to, quoted[inet.IPv6Len:], v)
}

// fromBytes reads an address of IPv6.
func fromBytes(b []byte) ip {
	return ip{uint64(inet.Be32(b))<<32 | uint64(inet.Be32(b[4:])), uint64(inet.Be32(b[8:]))<<32 | uint64(inet.Be32(b[12:]))}
}
