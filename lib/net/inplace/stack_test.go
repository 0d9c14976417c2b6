package inplace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

var (
	ourMAC   = [6]byte{2, 0, 0, 0, 0, 0x10}
	peerMAC  = [6]byte{2, 0, 0, 0, 0, 0x99}
	ourAddr  = netip.MustParseAddr("10.0.2.15")
	peerAddr = netip.MustParseAddr("10.0.2.2")
)

func newStack(t testing.TB, offload bool) *Stack {
	t.Helper()
	s, err := New(Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24), Gateway: netip.MustParseAddr("10.0.2.1"), Offload: offload})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wordSum is the checksum of RFC 1071 as its text says it: words in network order, one by one. It is what the tests believe.
func wordSum(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, b := range parts {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
		if len(b)%2 == 1 {
			sum += uint32(b[len(b)-1]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// datagram builds a UDP frame the long way.
func datagram(fromMAC, toMAC [6]byte, from, to netip.AddrPort, payload []byte) []byte {
	f := append(append(append([]byte{}, toMAC[:]...), fromMAC[:]...), 8, 0)
	ip := ipHeader(from.Addr(), to.Addr(), 17, 8+len(payload))
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(udp, 0, 0)
	udp = append(udp, payload...)
	sum := wordSum(pseudoHeader(ip, len(udp)), udp)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return append(append(f, ip...), udp...)
}

func ipHeader(from, to netip.Addr, protocol byte, length int) []byte {
	ip := []byte{0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 55, protocol, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+length))
	ip = append(append(ip, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], wordSum(ip))
	return ip
}

func pseudoHeader(ip []byte, length int) []byte {
	return append(append([]byte{}, ip[12:20]...), 0, ip[9], byte(length>>8), byte(length))
}

// request is the usual question.
func request(payload []byte) []byte {
	return datagram(peerMAC, ourMAC, netip.AddrPortFrom(peerAddr, 40000), netip.AddrPortFrom(ourAddr, 7), payload)
}

// inBuffer puts a frame into a buffer as the driver would.
func inBuffer(frame []byte) []byte {
	b := make([]byte, 2048)
	return b[:copy(b, frame)]
}

// verify checks every field of an IPv4 answer that this station may send, with checksums.
func verify(t testing.TB, f []byte) (ip, payload []byte) {
	t.Helper()
	if len(f) < 34 || !bytes.Equal(f[6:12], ourMAC[:]) || !bytes.Equal(f[12:15], []byte{8, 0, 0x45}) {
		t.Fatalf("not an IPv4 frame from us: % x", f)
	}
	total := int(binary.BigEndian.Uint16(f[16:]))
	if total < 28 || total > len(f)-14 {
		t.Fatalf("total length %d in a frame of %d", total, len(f))
	}
	ip, payload = f[14:34], f[34:14+total]
	if got := wordSum(ip); got != 0 {
		t.Fatalf("header checksum is off by %#x: % x", got, ip)
	}
	if ip[8] == 0 || binary.BigEndian.Uint16(ip[6:])&0xbfff != 0 || !bytes.Equal(ip[12:16], ourAddr.AsSlice()) {
		t.Fatalf("header % x", ip)
	}
	switch ip[9] {
	case 1:
		if got := wordSum(payload); got != 0 {
			t.Fatalf("ICMP checksum is off by %#x", got)
		}
	case 17:
		if n := int(binary.BigEndian.Uint16(payload[4:])); n != len(payload) {
			t.Fatalf("UDP length %d, want %d", n, len(payload))
		}
		if binary.BigEndian.Uint16(payload[6:]) == 0 || wordSum(pseudoHeader(ip, len(payload)), payload) != 0 {
			t.Fatalf("UDP checksum %x is wrong", payload[6:8])
		}
	default:
		t.Fatalf("protocol %d", ip[9])
	}
	return ip, payload
}

func echo(_ Endpoint, b []byte) int { return len(b) }

func TestEchoThroughDevice(t *testing.T) {
	for _, offload := range []bool{false, true} {
		d := nictest.New()
		var sent [][]byte
		d.OnSend = func(_ int, f []byte) { sent = append(sent, bytes.Clone(f)) }
		f, err := nic.New(d, d.Alloc, nic.Config{MAC: ourMAC})
		if err != nil {
			t.Fatal(err)
		}
		s := newStack(t, offload)
		if err := s.Listen(7, echo); err != nil {
			t.Fatal(err)
		}
		q := f.Queue(0)
		for n := range 1000 {
			payload := bytes.Repeat([]byte{byte(n), 1, 2}, n%480)
			if !d.Deliver(request(payload)) {
				t.Fatalf("frame %d was not received", n)
			}
			if s.Poll(q) != 1 {
				t.Fatalf("frame %d was not polled", n)
			}
			q.Flush()
			if len(sent) != 1 {
				t.Fatalf("frame %d: %d answers, %+v, %+v", n, len(sent), s.Counters, d.Stats())
			}
			ip, udp := verify(t, sent[0])
			if !bytes.Equal(udp[8:], payload) || !bytes.Equal(udp[:4], []byte{0, 7, 0x9c, 0x40}) || !bytes.Equal(ip[16:20], peerAddr.AsSlice()) || !bytes.Equal(sent[0][:6], peerMAC[:]) {
				t.Fatalf("frame %d: answer % x", n, sent[0])
			}
			sent = sent[:0]
		}
		if st := d.Stats(); st.Faults != 0 || st.TxBad != 0 || s.Replies != 1000 {
			t.Errorf("offload %v: %+v, %+v", offload, st, s.Counters)
		}
	}
}

// TestServe: the whole loop, with interrupts, until its context ends or the function is reset.
func TestServe(t *testing.T) {
	d := nictest.New()
	sent := make(chan []byte, 1)
	d.OnSend = func(_ int, f []byte) { sent <- bytes.Clone(f) }
	f, err := nic.New(d, d.Alloc, nic.Config{MAC: ourMAC})
	if err != nil {
		t.Fatal(err)
	}
	v, err := nictest.NewVector()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	d.OnRaise = func(int) { v.Raise() }
	if err := f.Interrupt(0, 0, v); err != nil {
		t.Fatal(err)
	}
	s := newStack(t, true)
	_ = s.Listen(7, echo)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, f.Queue(0)) }()
	for n := range 200 {
		payload := []byte{byte(n), 1, 2, 3}
		d.Deliver(request(payload))
		select {
		case answer := <-sent:
			if _, udp := verify(t, answer); !bytes.Equal(udp[8:], payload) {
				t.Fatalf("answer %d: % x", n, udp)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no answer to question %d", n)
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	go func() { done <- s.Serve(t.Context(), f.Queue(0)) }()
	d.Reset()
	f.Queue(0).Wake()
	if err := <-done; !errors.Is(err, nic.ErrReset) {
		t.Errorf("got %v, want %v", err, nic.ErrReset)
	}
}
