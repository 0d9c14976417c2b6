package main

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	l.Loss = 1
	send(fd, make([]byte, 5000))
	l.during(5 * time.Second)
	if i := tcpInfoOf(t, fd); i.Retransmits < 2 || i.Unacked == 0 || i.Snd_ssthresh == noThreshold || i.Last_ack_recv < 4000 {
		t.Errorf("a cut wire: %+v", i)
	}
	l.finish()
}
