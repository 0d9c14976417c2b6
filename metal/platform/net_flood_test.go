package main

import (
	"bytes"
	"testing"
	"time"

	"nom.dev/nom/metal/inet"
)

// syn is a SYN of some port of a host.
func syn(from uint32, port uint16, seq inet.Seq) []byte {
	return tcpFrame(from, inet.Segment{From: port, To: localPort, Seq: seq, Flags: inet.SYN, Window: 0xffff, MSS: 1460}, nil)
}

// answerTo is the acknowledgement, with data, of what a segment said.
func answerTo(p departed, flags uint8, data []byte) []byte {
	return tcpFrame(p.To, inet.Segment{From: p.seg.To, To: p.seg.From, Seq: p.seg.Ack, Ack: p.seg.Seq + 1, Flags: inet.ACK | flags, Window: 0xffff}, data)
}

// A flood of SYNs leaves so many half open, and others are answered with cookies, by which connections come about all the same.
func TestFloodOfSYNs(t *testing.T) {
	w := newWire(t, 4096)
	fd := tcpListener(t, localPort, 8)
	for i := range uint32(5 * mostHalfOpen) {
		w.give(syn(0x0a00_0010+i%100, uint16(1000+i), inet.Seq(i)))
		w.take()
	}
	if h := holding(); h.halfOpen != mostHalfOpen || h.connections != mostHalfOpen || h.sockets != mostHalfOpen+1 {
		t.Fatalf("%+v", h)
	}
	w.give(syn(peerIP, 5000, 100))
	p := w.only()
	if p.seg.Flags != inet.SYN|inet.ACK || p.seg.Ack != 101 {
		t.Fatalf("answered by %+v", p.seg)
	}
	w.give(answerTo(p, 0, []byte("question")))
	c := must(t, "accept", sysAccept4, fd, 0, 0, oNonblock)
	if b, r := receive(c, 100); string(b) != "question" {
		t.Errorf("got %q, %s", b, result(r))
	}
	send(c, []byte("answer"))
	if all := packets(t, w.take()); len(all) != 1 || string(all[0].data) != "answer" {
		t.Errorf("answered by %+v", all)
	}
	wrong := answerTo(p, 0, nil)
	w.give(tcpFrame(peerIP, inet.Segment{From: 5001, To: localPort, Seq: 101, Ack: p.seg.Seq + 1, Flags: inet.ACK}, nil), wrong[:40])
	if p := w.only(); p.seg.Flags != inet.RST {
		t.Errorf("what answers no cookie of that port is answered by %+v", p.seg)
	}
	// Half open ones end by themselves.
	for range 60 {
		w.pass(time.Second)
		w.take()
	}
	if h := holding(); h.halfOpen != 0 {
		t.Errorf("%d are half open still", h.halfOpen)
	}
	w.ended()
}

// The listener goes while connections to it are half open: they end as soon as the peer says something.
func TestListenerGoes(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("question")} {
		for _, flags := range []uint8{0, inet.FIN, inet.RST} {
			w := newWire(t, 2048)
			fd := tcpListener(t, localPort, 8)
			w.give(syn(peerIP, 5000, 100))
			p := w.only()
			must(t, "close", sysClose, fd)
			w.give(answerTo(p, flags, data))
			if h := holding(); h.sockets != 0 || h.connections != 0 {
				t.Errorf("%+v is left", h)
			}
			all := packets(t, w.take())
			if reset := len(all) == 1 && all[0].seg.Flags&inet.RST != 0; reset == (flags == inet.RST) {
				t.Errorf("with flags %x answered by %+v", flags, all)
			}
			w.ended()
		}
	}
}

// Everything that a connection begins with may come in one segment.
func TestAllAtOnce(t *testing.T) {
	w := newWire(t, 2048)
	fd := tcpListener(t, localPort, 8)
	w.give(syn(peerIP, 5000, 100))
	w.give(answerTo(w.only(), inet.FIN, []byte("question")))
	c := must(t, "accept", sysAccept4, fd, 0, 0, oNonblock)
	if b, _ := receive(c, 100); string(b) != "question" {
		t.Errorf("got %q", b)
	}
	if _, r := receive(c, 100); r != 0 {
		t.Errorf("got %s, want the end", result(r))
	}
	send(c, []byte("answer"))
	all := packets(t, w.take())
	if len(all) == 0 || !bytes.Equal(all[len(all)-1].data, []byte("answer")) {
		t.Errorf("answered by %+v", all)
	}
	// The one that waits in the queue is reset.
	w.give(syn(peerIP, 5001, 100))
	p := w.only()
	w.give(answerTo(p, 0, []byte("question")))
	reset := tcpFrame(peerIP, inet.Segment{From: 5001, To: localPort, Seq: p.seg.Ack + 8, Flags: inet.RST}, nil)
	w.give(reset)
	c = must(t, "accept", sysAccept4, fd, 0, 0, oNonblock)
	if _, r := receive(c, 100); r != errno(eCONNRESET) && r != 8 {
		t.Errorf("got %s, want a reset", result(r))
	}
	w.ended()
}

// Little memory loses data and connections for a while, and nothing for good.
func TestNetworkWithoutMemory(t *testing.T) {
	w := newWire(t, 1024)
	fd := tcpListener(t, localPort, 300)
	var frames []uint64
	for pa := fileFrame(); pa != 0; pa = fileFrame() {
		frames = append(frames, pa)
	}
	for i := range uint16(40) {
		w.give(syn(peerIP, 5000+i, 100))
		for _, p := range packets(t, w.take()) {
			w.give(answerTo(p, 0, []byte("question")))
		}
		w.give(udpFrame(peerIP, 5000, 53, []byte("question")))
	}
	for {
		c := platformCall(sysAccept4, fd, 0, 0, oNonblock)
		if int64(c) < 0 {
			break
		}
		if r := send(c, []byte("answer")); r != errno(eNOBUFS) && r != 6 {
			t.Errorf("write: %s", result(r))
		}
	}
	for _, pa := range frames {
		putFileFrame(pa)
	}
	w.take()
	w.ended()
}

// Only what quotes a segment on its way makes segments smaller, and then what was too big is sent again.
func TestTooBigIsSentAgain(t *testing.T) {
	w := newWire(t, 2048)
	fd := tcpListener(t, localPort, 8)
	w.give(syn(peerIP, 5000, 100))
	w.give(answerTo(w.only(), 0, nil))
	c := must(t, "accept", sysAccept4, fd, 0, 0, oNonblock)
	send(c, make([]byte, 2000))
	frames := w.take()
	before := packets(t, frames)
	if len(before) < 1 || len(before[0].data) != 1460 {
		t.Fatalf("sent %+v", before)
	}
	w.give(icmpFrame(peerIP, icmpUnreachable, icmpNeedsFrag, 600, frames[0][14:14+28]))
	again := packets(t, w.take())
	if len(again) == 0 || again[0].seg.Seq != before[0].seg.Seq || len(again[0].data) != 600-40 {
		t.Errorf("sent again: %+v", again)
	}
	w.ended()
}

// A probe for the container's own address is answered: somebody else wants it (RFC 5227, 2.1.1).
func TestAddressProbe(t *testing.T) {
	w := newWire(t, 2048)
	w.give(arpFrame(arpRequest, peerMAC, 0, ownIP))
	if f := w.take(); len(f) != 1 || inet.Be32(f[0][14+14:]) != ownIP || macOf(f[0]) != peerMAC {
		t.Errorf("answered by % x", f)
	}
	w.ended()
}
