package inplace

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"nom.dev/nom/lib/nic"
	"pgregory.net/rapid"
)

// edit is a request changed at one place, with the checksum of the IPv4 header made right again.
func edit(change func(f []byte)) []byte {
	f := request([]byte("hello, neighbour, this is a question"))
	change(f)
	binary.BigEndian.PutUint16(f[24:], 0)
	header := min(int(f[14]&15)*4, len(f)-14)
	binary.BigEndian.PutUint16(f[24:], wordSum(f[14:14+header]))
	return f
}

// TestDrops: each frame that is not answered is counted once, in the right place, and nothing else is.
func TestDrops(t *testing.T) {
	from := func(a string) []byte {
		return datagram(peerMAC, ourMAC, netip.MustParseAddrPort(a+":40000"), netip.AddrPortFrom(ourAddr, 7), []byte("x"))
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  Counters
	}{
		{"nothing", nil, Counters{Malformed: 1}},
		{"half a header", request(nil)[:41], Counters{Malformed: 1}},
		{"IPv6", edit(func(f []byte) { f[12], f[13] = 0x86, 0xdd }), Counters{Unknown: 1}},
		{"VLAN", edit(func(f []byte) { f[12], f[13] = 0x81, 0 }), Counters{Unknown: 1}},
		{"another station", edit(func(f []byte) { f[5]++ }), Counters{NotMine: 1}},
		{"broadcast", edit(func(f []byte) { copy(f, bytes.Repeat([]byte{255}, 6)) }), Counters{NotMine: 1}},
		{"another address", edit(func(f []byte) { f[33]++ }), Counters{NotMine: 1}},
		{"version 6", edit(func(f []byte) { f[14] = 0x65 }), Counters{Malformed: 1}},
		{"short header", edit(func(f []byte) { f[14] = 0x44 }), Counters{Malformed: 1}},
		{"options", edit(func(f []byte) { f[14] = 0x46 }), Counters{Options: 1}},
		{"total length too long", edit(func(f []byte) { f[17]++ }), Counters{Malformed: 1}},
		{"total length too short", edit(func(f []byte) { f[17] = 27 }), Counters{Malformed: 1}},
		{"more fragments", edit(func(f []byte) { f[20] = 0x20 }), Counters{Fragments: 1}},
		{"last fragment", edit(func(f []byte) { f[21] = 1 }), Counters{Fragments: 1}},
		{"last fragment of a byte", edit(func(f []byte) { f[16], f[17], f[21] = 0, 21, 1 }), Counters{Fragments: 1}},
		{"middle fragment", edit(func(f []byte) { f[20], f[21] = 0x3f, 0xff }), Counters{Fragments: 1}},
		{"header checksum", func() []byte { f := request(nil); f[24]++; return f }(), Counters{Checksum: 1}},
		{"UDP checksum", edit(func(f []byte) { f[50]++ }), Counters{Checksum: 1}},
		{"UDP length too long", edit(func(f []byte) { f[39]++ }), Counters{Malformed: 1}},
		{"UDP length too short", edit(func(f []byte) { f[39] = 7 }), Counters{Malformed: 1}},
		{"TCP", edit(func(f []byte) { f[23] = 6 }), Counters{Unknown: 1}},
		{"nobody listens", datagram(peerMAC, ourMAC, netip.AddrPortFrom(peerAddr, 9), netip.AddrPortFrom(ourAddr, 8), nil), Counters{NoPort: 1}},
		{"nobody listens near", datagram(peerMAC, ourMAC, netip.AddrPortFrom(peerAddr, 9), netip.AddrPortFrom(ourAddr, 7+256), nil), Counters{NoPort: 1}},
		{"multicast station", edit(func(f []byte) { f[6] |= 1 }), Counters{Source: 1}},
		{"from 0.0.0.0", from("0.0.0.0"), Counters{Source: 1}},
		{"from 0.1.2.3", from("0.1.2.3"), Counters{Source: 1}},
		{"from loopback", from("127.0.0.1"), Counters{Source: 1}},
		{"from multicast", from("224.0.0.1"), Counters{Source: 1}},
		{"from broadcast", from("255.255.255.255"), Counters{Source: 1}},
		{"from the network's broadcast", from("10.0.2.255"), Counters{Source: 1}},
		{"from ourselves", from("10.0.2.15"), Counters{Source: 1}},
		{"from port 0", datagram(peerMAC, ourMAC, netip.AddrPortFrom(peerAddr, 0), netip.AddrPortFrom(ourAddr, 7), nil), Counters{Requests: 1}},
	} {
		s := newStack(t, false)
		if err := s.Listen(7, echo); err != nil {
			t.Fatal(err)
		}
		if a := s.Input(inBuffer(c.frame), 0); a != (Answer{}) || s.Counters != c.want {
			t.Errorf("%s: got %+v and %+v, want no answer and %+v", c.name, a, s.Counters, c.want)
		}
	}
}

// TestAnswers: what must be answered, among it what is only a little unusual.
func TestAnswers(t *testing.T) {
	padded := append(request([]byte("abc")), bytes.Repeat([]byte{0xee}, 30)...)
	noSum := edit(func(f []byte) { f[40], f[41] = 0, 0 })
	dontFragment := edit(func(f []byte) { f[20] = 0x40 })
	urgent := edit(func(f []byte) { f[15], f[22] = 0xb8, 1 })
	far := datagram(peerMAC, ourMAC, netip.MustParseAddrPort("192.0.2.255:40000"), netip.AddrPortFrom(ourAddr, 7), []byte("abc"))
	for name, f := range map[string][]byte{"padded": padded, "no checksum": noSum, "don't fragment": dontFragment, "TOS and TTL 1": urgent, "from far": far} {
		s := newStack(t, false)
		_ = s.Listen(7, echo)
		b := inBuffer(f)
		a := s.Input(b, 0)
		if a.N == 0 {
			t.Errorf("%s: no answer, %+v", name, s.Counters)
			continue
		}
		ip, udp := verify(t, b[:a.N])
		if n := binary.BigEndian.Uint16(f[38:]); !bytes.Equal(udp[8:], f[42:42+n-8]) || ip[8] != 64 || ip[1] != 0 || !bytes.Equal(ip[16:], f[26:30]) {
			t.Errorf("%s: answer % x", name, b[:a.N])
		}
	}
}

// TestHandler: what a handler may return.
func TestHandler(t *testing.T) {
	s := newStack(t, false)
	result := 0
	var got Endpoint
	if err := s.Listen(7, func(from Endpoint, b []byte) int {
		got = from
		if result > 0 {
			for i := range b[:min(result, cap(b))] {
				b[:cap(b)][i] = 0x5a
			}
		}
		return result
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(7, echo); err == nil {
		t.Error("two handlers on a port")
	}
	for _, c := range []struct{ result, want int }{{0, 42}, {1, 43}, {1472, 1514}, {1473, 0}, {4000, 0}, {NoReply, 0}, {Taken, Taken}, {-99, 0}} {
		result = c.result
		b := inBuffer(request([]byte("abc")))
		if a := s.Input(b, 0); a.N != c.want {
			t.Errorf("result %d: got %d, want %d", c.result, a.N, c.want)
		} else if a.N > 0 {
			if _, udp := verify(t, b[:a.N]); !bytes.Equal(udp[8:], bytes.Repeat([]byte{0x5a}, c.result)) {
				t.Errorf("result %d: payload % x", c.result, udp[8:])
			}
		}
	}
	if want := netip.AddrPortFrom(peerAddr, 40000); got.AddrPort() != want || got.String() != want.String() {
		t.Errorf("from %v, want %v", got, want)
	}
	if s.TooLong != 2 {
		t.Errorf("got %d answers that were too long, want 2", s.TooLong)
	}
	if err := s.Listen(7, nil); err != nil {
		t.Error(err)
	}
	if a := s.Input(inBuffer(request(nil)), 0); a.N != 0 || s.NoPort != 1 {
		t.Errorf("after the end: %+v", a)
	}
	// A small buffer bounds the answer too.
	_ = s.Listen(7, func(_ Endpoint, b []byte) int { return cap(b) + 1 })
	if a := s.Input(request([]byte("abc")), 0); a.N != 0 {
		t.Errorf("an answer beyond the buffer: %+v", a)
	}
}

// next is a stack that notes what it gets.
type next struct{ frames int }

func (n *next) Input([]byte, nic.Status) Answer {
	n.frames++
	return Answer{N: 77}
}

// TestNext: what this stack does not speak goes to the next one as it came; what is broken, or forged, goes to nobody.
func TestNext(t *testing.T) {
	broadcast := edit(func(f []byte) { copy(f, bytes.Repeat([]byte{255}, 6)) })
	for _, c := range []struct {
		name  string
		frame []byte
		pass  bool
	}{
		{"TCP", edit(func(f []byte) { f[23] = 6 }), true},
		{"IPv6", edit(func(f []byte) { f[12], f[13] = 0x86, 0xdd }), true},
		{"options", edit(func(f []byte) { f[14] = 0x46 }), true},
		{"fragment", edit(func(f []byte) { f[20] = 0x20 }), true},
		{"nobody listens", datagram(peerMAC, ourMAC, netip.AddrPortFrom(peerAddr, 9), netip.AddrPortFrom(ourAddr, 8), nil), true},
		{"broadcast", broadcast, true},
		{"ICMP unreachable", ping(make([]byte, 28), 3), true},
		{"answer to ARP", arpFrame(2, peerMAC, peerAddr, ourAddr), true},
		{"ARP request", arpFrame(1, peerMAC, peerAddr, ourAddr), false},
		{"ping", ping(nil, 8), false},
		{"UDP", request(nil), false},
		{"checksum", edit(func(f []byte) { f[50]++ }), false},
		{"length", edit(func(f []byte) { f[17]++ }), false},
		{"forged", edit(func(f []byte) { copy(f[26:30], ourAddr.AsSlice()) }), false},
	} {
		n := &next{}
		s, err := New(Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24), Next: n})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Listen(7, echo)
		b := inBuffer(c.frame)
		a := s.Input(b, 0)
		if passed := n.frames == 1 && a.N == 77 && s.Counters == (Counters{Passed: 1}) && bytes.Equal(b, c.frame); passed != c.pass || !c.pass && n.frames != 0 {
			t.Errorf("%s: got %+v, %+v, %d frames at the next stack", c.name, a, s.Counters, n.frames)
		}
	}
}

// TestOffloadTrust: what the device checked is believed only when offload is on, and only when it says so.
func TestOffloadTrust(t *testing.T) {
	const good, udpOnly, bad = nic.Status(0x53), nic.Status(0x13), nic.Status(0x53 | 1<<29)
	wrong := request([]byte("abc"))
	wrong[43]++
	for _, c := range []struct {
		offload bool
		status  nic.Status
		frame   []byte
		answer  bool
	}{
		{true, good, wrong, true}, {true, udpOnly, wrong, false}, {true, bad, wrong, false}, {true, 0, wrong, false}, {false, good, wrong, false},
		{true, 0, request(nil), true}, {true, bad, request(nil), true}, // a device that errs is found out
	} {
		s := newStack(t, c.offload)
		_ = s.Listen(7, echo)
		if a := s.Input(inBuffer(c.frame), c.status); (a.N != 0) != c.answer || c.answer && (a.Offload == nic.UDP) != c.offload {
			t.Errorf("offload %v, status %#x: got %+v", c.offload, c.status, a)
		}
	}
}

func ping(payload []byte, kind byte) []byte {
	icmp := append([]byte{kind, 0, 0, 0, 0x12, 0x34, 0, 7}, payload...)
	binary.BigEndian.PutUint16(icmp[2:], wordSum(icmp))
	f := append(append(append([]byte{}, ourMAC[:]...), peerMAC[:]...), 8, 0)
	return append(append(f, ipHeader(peerAddr, ourAddr, 1, len(icmp))...), icmp...)
}

func TestPing(t *testing.T) {
	s := newStack(t, true)
	for n := range 1472 {
		payload := bytes.Repeat([]byte{byte(n), byte(n >> 3)}, n)[:n]
		b := inBuffer(ping(payload, 8))
		a := s.Input(b, 0)
		if a.N != 42+n || a.Offload != nic.Plain {
			t.Fatalf("%d bytes: %+v, %+v", n, a, s.Counters)
		}
		_, icmp := verify(t, b[:a.N])
		if icmp[0] != 0 || icmp[1] != 0 || !bytes.Equal(icmp[4:8], []byte{0x12, 0x34, 0, 7}) || !bytes.Equal(icmp[8:], payload) {
			t.Fatalf("%d bytes: answer % x", n, icmp)
		}
	}
	broken := ping([]byte("abc"), 8)
	broken[44]++
	for name, f := range map[string][]byte{"reply": ping(nil, 0), "unreachable": ping(make([]byte, 28), 3), "checksum": broken, "too long": ping(make([]byte, 1473), 8)} {
		if a := s.Input(inBuffer(f), 0); a.N != 0 {
			t.Errorf("%s: answered with %+v", name, a)
		}
	}
	if s.Unknown != 2 || s.Checksum != 1 || s.TooLong != 1 {
		t.Errorf("%+v", s.Counters)
	}
}

// TestAnyReply: whatever the question's fields and the handler's answer, the answer is a packet that an independent reader accepts.
func TestAnyReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 9).Draw(t, "net")), byte(rapid.IntRange(16, 250).Draw(t, "host"))}), uint16(rapid.IntRange(1, 65535).Draw(t, "port")))
		port := uint16(rapid.IntRange(0, 65535).Draw(t, "our port"))
		question := rapid.SliceOfN(rapid.Byte(), 0, 1472).Draw(t, "question")
		answer := rapid.SliceOfN(rapid.Byte(), 0, 1472).Draw(t, "answer")
		s, err := New(Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(port, func(e Endpoint, b []byte) int {
			if e.AddrPort() != from || !bytes.Equal(b, question) {
				t.Fatalf("got %d bytes from %v, want %d from %v", len(b), e, len(question), from)
			}
			return copy(b[:cap(b)], answer)
		}); err != nil {
			t.Fatal(err)
		}
		b := inBuffer(datagram(peerMAC, ourMAC, from, netip.AddrPortFrom(ourAddr, port), question))
		a := s.Input(b, 0)
		want := datagram(ourMAC, peerMAC, netip.AddrPortFrom(ourAddr, port), from, answer)
		// What we choose ourselves: identification, flags, hops, and with them the header's checksum.
		got := b[:cap(b)][:a.N]
		if a.N != len(want) || wordSum(got[14:34]) != 0 {
			t.Fatalf("got % x, want % x", got, want)
		}
		copy(want[18:26], got[18:26])
		if !bytes.Equal(got, want) {
			t.Fatalf("got % x, want % x", got, want)
		}
	})
}

// TestChecksum compares the fast sum with the plain one, at every alignment and length.
func TestChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.Just(byte(0xff)), rapid.Byte()), 0, 300).Draw(t, "bytes")
		start := rapid.Uint32().Draw(t, "start")
		var first [4]byte
		binary.LittleEndian.PutUint32(first[:], start)
		got := ^fold(add(uint64(start), b))
		want := wordSum(first[:], b)
		if binary.BigEndian.Uint16([]byte{byte(got), byte(got >> 8)}) != want {
			t.Fatalf("got %#x, want %#x", got, want)
		}
	})
}

// TestAllocates: nothing on the way allocates.
func TestAllocates(t *testing.T) {
	for name, f := range map[string][]byte{"UDP": request(make([]byte, 64)), "ping": ping(make([]byte, 64), 8), "ARP": arpFrame(1, peerMAC, peerAddr, ourAddr), "dropped": request(nil)[:41]} {
		s := newStack(t, false)
		_ = s.Listen(7, echo)
		b := make([]byte, 2048)
		if n := testing.AllocsPerRun(1000, func() { s.Input(b[:copy(b, f)], 0) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// FuzzInput: no frame crashes the stack, and everything that it answers is a correct packet.
func FuzzInput(f *testing.F) {
	for _, seed := range [][]byte{
		request([]byte("abc")), ping([]byte("abc"), 8), arpFrame(1, peerMAC, peerAddr, ourAddr), arpFrame(2, peerMAC, peerAddr, ourAddr),
		edit(func(f []byte) { f[14] = 0x4f }), edit(func(f []byte) { f[20] = 0x20 }), request(nil), bytes.Repeat([]byte{0xff}, 60),
	} {
		f.Add(seed, uint32(0), 3)
		f.Add(seed, uint32(0x53), 0)
	}
	f.Fuzz(func(t *testing.T, frame []byte, status uint32, answer int) {
		if len(frame) > 2048 {
			return
		}
		s := newStack(t, false) // with offload the device would have to be trusted
		_ = s.Listen(7, func(_ Endpoint, b []byte) int { return answer })
		b := inBuffer(frame)
		a := s.Input(b, nic.Status(status))
		if a.N <= 0 {
			return
		}
		if a.N > cap(b) || a.N < 42 || a.Offload != nic.Plain {
			t.Fatalf("answer %+v", a)
		}
		if out := b[:cap(b)][:a.N]; out[12] == 8 && out[13] == 6 {
			verifyARP(t, out)
		} else {
			verify(t, out)
		}
	})
}
