package main

import (
	"testing"
	"time"

	"nom.dev/nom/metal/inet"
)

// FuzzNetInput gives the platform arbitrary frames while a program listens, has connections and datagrams on the way: nothing
// panics, and when everything is closed nothing is left. A step of the script is a kind, a length and so many bytes.
func FuzzNetInput(f *testing.F) {
	seg := func(s inet.Segment, data string) []byte {
		s.From, s.To = 5000, localPort
		b := append(make([]byte, s.HeaderLen()), data...)
		s.Put(b[:s.HeaderLen()], 0)
		return b
	}
	step := func(kind byte, b []byte) []byte { return append([]byte{kind, byte(len(b))}, b...) }
	join := func(steps ...[]byte) (all []byte) {
		for _, s := range steps {
			all = append(all, s...)
		}
		return all
	}
	begin := step(fuzzTCP, seg(inet.Segment{Seq: 99, Flags: inet.SYN, Window: 1000, MSS: 1460, HasScale: true, Scale: 7, SACKOK: true, HasTS: true, TSVal: 1}, ""))
	established := step(fuzzKnown, seg(inet.Segment{Flags: inet.ACK, Window: 1000, HasTS: true, TSVal: 2}, "question"))
	f.Add(join(begin, established, step(fuzzCall, []byte{0, 1, 2, 3, 4, 5, 6, 7})))
	f.Add(join(step(fuzzCall, []byte{4}), step(fuzzKnown, seg(inet.Segment{Flags: inet.SYN | inet.ACK, Window: 9}, "")), step(fuzzCall, []byte{2, 5, 3, 7})))
	f.Add(join(begin, established, step(fuzzKnown, seg(inet.Segment{Seq: 5000, Flags: inet.ACK | inet.FIN, Window: 1000, HasTS: true, TSVal: 2}, "ahead")),
		step(fuzzKnown, seg(inet.Segment{Flags: inet.RST}, "")), step(fuzzTime, []byte{200})))
	f.Add(join(begin, step(fuzzCall, []byte{8}), established))
	f.Add(join(step(fuzzUDP, []byte("\x13\x88\x00\x35\x00\x0c\x00\x00data")), step(fuzzCall, []byte{6, 7}), step(fuzzFragment, []byte("\x20\x00pieces!!")), step(fuzzFragment, []byte("\x00\x01more"))))
	f.Add(join(step(fuzzICMP, []byte("\x08\x00\x00\x00\x00\x01\x00\x01echo")), step(fuzzQuote, []byte{3, 4, 2, 88}), step(fuzzQuote, []byte{3, 3, 0, 0})))
	f.Add(join(step(fuzzARP, []byte("\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\x03\x0a\x00\x00\x03")), step(fuzzRaw, []byte("anything at all"))))
	f.Fuzz(func(t *testing.T, script []byte) {
		z := &fuzz{wire: newWire(t, 1024)}
		z.listener = tcpListener(t, localPort, 2)
		z.fds = append(z.fds, udpSocket(t, 53))
		for n := 0; len(script) > 2 && n < 200; n++ {
			k := min(int(script[1]), len(script)-2)
			z.step(script[0], script[2:2+k])
			script = script[2+k:]
			z.last = append(z.last, z.take()...)
			z.last = z.last[max(0, len(z.last)-4):]
		}
		z.ended()
	})
}

const (
	fuzzRaw = iota
	fuzzTCP
	fuzzKnown // its numbers are relative to what a connection waits for
	fuzzUDP
	fuzzICMP
	fuzzQuote // a message about what was sent
	fuzzARP
	fuzzFragment
	fuzzCall
	fuzzTime
	fuzzKinds
)

type fuzz struct {
	*wire
	listener uint64
	fds      []uint64
	last     [][]byte // frames that left
}

func (z *fuzz) step(kind byte, b []byte) {
	z.unsure = kind&0x80 != 0
	switch kind & 0x7f % fuzzKinds {
	case fuzzRaw:
		z.deliver(b)
	case fuzzTCP:
		z.deliver(ipFrame(peerIP, inet.ProtoTCP, z.fixed(inet.ProtoTCP, 16, b)))
	case fuzzKnown:
		z.known(b)
	case fuzzUDP:
		z.deliver(ipFrame(peerIP, inet.ProtoUDP, b))
	case fuzzICMP:
		if len(b) >= inet.ICMPLen {
			z.deliver(icmpFrame(peerIP, b[0], b[1], inet.Be32(b[4:]), b[8:]))
		}
	case fuzzQuote:
		if len(b) >= 4 && len(z.last) != 0 {
			f := z.last[int(b[0])%len(z.last)]
			z.deliver(icmpFrame(peerIP, icmpUnreachable, b[1], uint32(b[2])<<8|uint32(b[3]), f[min(len(f), 14):min(len(f), 14+28)]))
		}
	case fuzzARP:
		f := arpFrame(arpReply, peerMAC, peerIP, ownIP)
		copy(f[inet.EthernetLen:], b)
		z.deliver(f)
	case fuzzFragment:
		if len(b) > 2 {
			f := ipFrame(peerIP, inet.ProtoUDP, b[2:])
			copy(f[inet.EthernetLen+6:], b[:2])
			inet.PutBe16(f[inet.EthernetLen+10:], 0)
			inet.PutBe16(f[inet.EthernetLen+10:], inet.Checksum(0, f[inet.EthernetLen:frameHead]))
			z.deliver(f)
		}
	case fuzzCall:
		for _, c := range b {
			z.call(c)
		}
		return
	case fuzzTime:
		for _, n := range b {
			z.pass(time.Duration(n) * 50 * time.Millisecond)
		}
		return
	}
	netPoll()
}

// fixed gives a segment its checksum.
func (z *fuzz) fixed(proto uint8, at int, b []byte) []byte {
	b = append([]byte(nil), b...)
	if len(b) >= at+2 {
		inet.PutBe16(b[at:], 0)
		inet.PutBe16(b[at:], inet.Checksum(inet.PseudoIPv4(peerIP, ownIP, proto, len(b)), b))
	}
	return b
}

// known makes a segment of the connection of what left last.
func (z *fuzz) known(b []byte) {
	if len(b) < inet.TCPLen {
		return
	}
	b = append([]byte(nil), b...)
	all := packets(z.t, z.last)
	for i := len(all) - 1; i >= 0; i-- {
		p := &all[i]
		if p.Proto != inet.ProtoTCP {
			continue
		}
		inet.PutBe16(b, p.seg.To)
		inet.PutBe16(b[2:], p.seg.From)
		ack := p.seg.Seq + inet.Seq(p.seg.Len)
		if p.seg.Flags&(inet.SYN|inet.FIN) != 0 {
			ack++
		}
		inet.PutBe32(b[4:], inet.Be32(b[4:])+uint32(p.seg.Ack))
		inet.PutBe32(b[8:], inet.Be32(b[8:])+uint32(ack))
		break
	}
	z.deliver(ipFrame(peerIP, inet.ProtoTCP, z.fixed(inet.ProtoTCP, 16, b)))
}

// call is what a program does.
func (z *fuzz) call(c byte) {
	fd := z.fds[int(c>>4)%len(z.fds)]
	switch c & 15 {
	case 0, 1:
		if a := platformCall(sysAccept4, z.listener, 0, 0, oNonblock); int64(a) >= 0 {
			z.fds = append(z.fds, a)
		}
	case 2, 3:
		send(fd, make([]byte, 1+int(c)*37))
	case 4:
		s, _ := connectOut(z.t, 5000)
		z.fds = append(z.fds, s)
	case 5, 6:
		receive(fd, 1+int(c)*29)
	case 7:
		platformCall(sysShutdown, fd, uint64(c>>4)%3)
	case 8:
		platformCall(sysClose, z.listener)
	case 9:
		platformCall(sysClose, fd)
	case 10:
		setAddress(0, afInet, []byte{10, 0, 0, c}, 53)
		platformCall(sysSendto, fd, buffer(0), 1+uint64(c)*40, msgNoSignal, addressAt(0), 16)
	case 11:
		netSleep()
	case 12:
		netInterrupt()
	}
}
