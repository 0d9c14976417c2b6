package main

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nom.dev/nom/metal/inet"
)

// tcpInfoOf is TCP_INFO, as a program reads it.
func tcpInfoOf(t *testing.T, fd uint64) (i unix.TCPInfo) {
	t.Helper()
	store32(lengthAt(0), tcpInfoSize)
	must(t, "getsockopt", sysGetsockopt, fd, levelTCP, tcpInfo&0xff, buffer(1), lengthAt(0))
	if n := load32(lengthAt(0)); n != tcpInfoSize {
		t.Fatalf("%d bytes", n)
	}
	b := append(bytes.Clone(dataBuffers[1][:6]), dataBuffers[1][8:1000]...) // but for bits and padding
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &i); err != nil {
		t.Fatal(err)
	}
	return i
}

// TCP_INFO tells what a connection is like: here, how long the wire is, and later that it is cut.
func TestTCPInfo(t *testing.T) {
	l := newLab(t, 11)
	fd, e := l.pair(true)
	for range 20 {
		send(fd, make([]byte, 5000))
		l.during(50 * time.Millisecond)
		e.Pull()
	}
	i := tcpInfoOf(t, fd)
	const syn = infoTimestamps | infoSACK | infoScaled
	if i.State != unix.BPF_TCP_ESTABLISHED || i.Options != syn || i.Snd_mss != 1448 || i.Advmss != 1460 || i.Pmtu != 1500 || i.Unacked != 0 || i.Retransmits != 0 {
		t.Errorf("an idle connection: %+v", i)
	}
	if i.Rtt < 1000 || i.Rtt > 50_000 || i.Rto < 200_000 || i.Snd_cwnd < 3 || i.Last_data_sent > 100 {
		t.Errorf("after 20 writes on a wire of 2 ms: %+v", i)
	}
	if i.Sacked|i.Lost|i.Retrans|i.Total_retrans != 0 {
		t.Errorf("nothing was lost: %+v", i)
	}
	l.Loss = 1
	send(fd, make([]byte, 5000))
	l.during(5 * time.Second)
	if i := tcpInfoOf(t, fd); i.Lost+i.Retrans != 4 || i.Total_retrans < 2 || i.Unacked != 4 || i.Retransmits < 2 || i.Snd_ssthresh == noThreshold || i.Last_ack_recv < 4000 {
		t.Errorf("a cut wire: %+v", i)
	}
	l.finish()
}

// Segments of one window are lost, and sent again once each, without a time-out, also when the card cuts what is sent; TCP_INFO counts it, as on
// Linux.
func TestTCPInfoLosses(t *testing.T) {
	l := newLab(t, 12)
	fd, e := l.pair(true)
	for range 20 { // until the window is open
		send(fd, make([]byte, 20_000))
		l.during(50 * time.Millisecond)
		e.Pull()
	}
	first := map[inet.Seq]bool{} // of segments that were seen
	lost, n := 0, 0
	l.lose = func(seq inet.Seq, _ int) bool {
		if first[seq] {
			return false
		}
		first[seq] = true
		n++
		if n == 3 || n == 4 || n == 9 || n == 15 || n == 20 {
			lost++
			return true
		}
		return false
	}
	data := make([]byte, 60_000)
	for i := range data {
		data[i] = byte(i >> 8)
	}
	e.Got.Reset()
	before := tcpInfoOf(t, fd)
	if sent := send(fd, data); sent != uint64(len(data)) {
		t.Fatalf("send: %s", result(sent))
	}
	var most unix.TCPInfo
	l.until("the data", func() bool {
		e.Pull()
		i := tcpInfoOf(t, fd)
		most.Sacked, most.Retrans = max(most.Sacked, i.Sacked), max(most.Retrans, i.Retrans)
		most.Retransmits = max(most.Retransmits, i.Retransmits)
		return e.Got.Len() == len(data) && i.Unacked == 0
	})
	after := tcpInfoOf(t, fd)
	if lost != 5 || after.Total_retrans-before.Total_retrans != 5 || most.Retransmits != 0 || !bytes.Equal(e.Got.Bytes(), data) {
		t.Errorf("%d segments were lost, %d sent again; %d time-outs", lost, after.Total_retrans-before.Total_retrans, most.Retransmits)
	}
	if most.Sacked < 10 || most.Retrans != 5 || after.Sacked|after.Lost|after.Retrans != 0 {
		t.Errorf("at most %d were beyond a gap and %d sent again; in the end %+v", most.Sacked, most.Retrans, after)
	}
	l.finish()
}
