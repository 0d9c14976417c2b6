package main

import (
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// TestDrops: what is dropped is counted by its cause, and the parent finds the counters in the console ring.
func TestDrops(t *testing.T) {
	w := newWire(t, 2048)
	memory := alignedBytes(t, abi.ConsolePages*pageSize)
	bootPage.Console = physical(memory)
	ring := at[abi.ConsoleRing](direct(bootPage.Console))
	fd := udpSocket(t, localPort)
	tcpListener(t, 80, 0)
	sendTo := func(host []byte) {
		setAddress(0, afInet, host, 5000)
		must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
	}
	damaged := udpFrame(peerIP, 5000, localPort, []byte("damaged"))
	damaged[len(damaged)-1]++
	var want [abi.NumDrops]uint64
	for _, c := range []struct {
		cause uint64
		count uint64
		do    func()
	}{
		{abi.DropDevice, 1, func() { w.deliverAs(damaged, igb.RxDone|igb.RxEnd|igb.RxError|60<<32); netPoll() }},
		{abi.DropMalformed, 2, func() {
			w.give(ipFrame(peerIP, inet.ProtoUDP, make([]byte, 4)), tcpFrame(peerIP, inet.Segment{To: 9, Flags: inet.SYN}, nil))
		}},
		{abi.DropChecksum, 1, func() { w.give(damaged) }},
		{abi.DropForeign, 1, func() { w.give(udpFrame(ownIP, 5000, localPort, nil)) }},
		{abi.DropNoSocket, 2, func() {
			w.give(udpFrame(peerIP, 5000, localPort+1, nil), tcpFrame(peerIP, inet.Segment{From: 5000, To: 9, Flags: inet.SYN, Window: 1000}, nil))
		}},
		{abi.DropFull, 4, func() { // of 64 KiB
			for range 65536/(1024+datagramHead) + 4 {
				w.give(udpFrame(peerIP, 5000, localPort, make([]byte, 1024)))
			}
		}},
		{abi.DropSendFull, 3, func() {
			for nicBuffer() != 0 {
				sendTo(peerHost)
			}
			for range 3 {
				sendTo(peerHost)
			}
		}},
		{abi.DropNoNeighbour, 2, func() { // one waits, and is given up at last
			sendTo([]byte{10, 0, 0, 9})
			sendTo([]byte{10, 0, 0, 9})
			for range 10 {
				w.pass(time.Second)
			}
		}},
	} {
		c.do()
		w.take()
		want[c.cause] += c.count
		if netCount.dropped != want || ring.Dropped != want {
			t.Fatalf("cause %d: counted %v, told %v, want %v", c.cause, netCount.dropped, ring.Dropped, want)
		}
	}
	for r := uint64(0); int64(r) >= 0; _, r = receive(fd, 2000) {
	}
	w.ended()
}
