package netstack

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/refs"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

// TestMain counts gVisor's references in all tests: a packet that is never given back ends them with a panic.
func TestMain(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if left := ourGoroutines(); left != "" {
		println("goroutines left:\n" + left)
		code = 1
	}
	if code == 0 {
		refs.DoLeakCheck()
	}
	os.Exit(code)
}

// ourGoroutines are those of stacks that still run after a while.
func ourGoroutines() string {
	var left string
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		b := make([]byte, 1<<20)
		left = ""
		for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
			if !strings.Contains(g, "ourGoroutines") && (strings.Contains(g, "gvisor.dev") || strings.Contains(g, "netstack.")) {
				left += g + "\n\n"
			}
		}
		if left == "" {
			break
		}
	}
	return left
}

// TestAccounting: whatever arrives, each buffer comes back.
func TestAccounting(t *testing.T) {
	s := newStation(t, config())
	s.HandleTCP((*Request).Reject)
	s.HandleUDP(func(src, dst netip.AddrPort, _ []byte) error { return s.SendUDP(dst, src, []byte("answer")) })
	buffers := map[uint64]bool{}
	s.d.OnReceiveBuffer = func(a uint64) { buffers[a] = true }
	s.d.OnSendBuffer = func(a uint64) { buffers[a] = true }
	delivered := uint64(0)
	for i := range 20_000 {
		f := syn(uint16(i))
		switch i % 5 {
		case 0:
			f = ipFrame(header.UDPProtocolNumber, 0, udpPacket(uint16(i), 53, data(i%1400)))
		case 1:
			f = arpFrame(1+uint8(i/5%2), peerMAC, ourMAC)
		case 2:
			f = ipFrame(header.UDPProtocolNumber, uint16(i/5%2)<<13|uint16(i%100), data(i%1000&^7))
		}
		if s.d.Deliver(f) {
			delivered++
		}
		s.inplace.Poll(s.queue)
		s.pump()
		s.queue.Flush()
	}
	st := s.d.Stats()
	if delivered != 20_000 || s.queue.RxFrames != delivered || st.TxFrames != s.queue.TxFrames || st.TxBad != 0 || st.Faults != 0 {
		t.Errorf("%d frames delivered: %+v, %+v", delivered, s.queue.Counters, st)
	}
	if room := s.queue.Room(); room != nic.RingSize-1 || len(buffers) != 2*nic.RingSize {
		t.Errorf("room for %d frames, want %d; %d buffers were seen, want %d", room, nic.RingSize-1, len(buffers), 2*nic.RingSize)
	}
	s.shutDown()
}

// TestReset: Serve ends when the function is reset.
func TestReset(t *testing.T) {
	s := newStation(t, config())
	end := make(chan error, 1)
	go func() { end <- s.Serve(context.Background()) }()
	s.d.Reset()
	s.queue.Wake()
	select {
	case err := <-end:
		if !errors.Is(err, nic.ErrReset) {
			t.Errorf("got %v, want %v", err, nic.ErrReset)
		}
	case <-time.After(limit):
		t.Fatal("Serve did not end")
	}
}

// TestConfig: what cannot work is refused.
func TestConfig(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"MTU":      func(c *Config) { c.MTU = 9000 },
		"small":    func(c *Config) { c.MTU = 100 },
		"address":  func(c *Config) { c.Address = netip.Prefix{} },
		"IPv6":     func(c *Config) { c.Address = netip.MustParsePrefix("fe80::1/64") },
		"gateway":  func(c *Config) { c.Gateway = netip.MustParseAddr("192.0.2.1") },
		"MAC":      func(c *Config) { c.MAC = [6]byte{1} },
		"InFlight": func(c *Config) { c.InFlight = -1 },
	} {
		d := nictest.New()
		f, err := nic.New(d, d.Alloc, nic.Config{MAC: ourMAC})
		if err != nil {
			t.Fatal(err)
		}
		c := config()
		change(&c)
		if _, err := New(f.Queue(0), c); err == nil {
			t.Errorf("%s: a stack was made with %+v", what, c)
		}
	}
}

// FuzzInput gives frames to a stack as they come from the wire, whatever the device says of them.
func FuzzInput(f *testing.F) {
	f.Add(syn(1), uint32(0x73))
	f.Add(ipFrame(header.UDPProtocolNumber, 0, udpPacket(1, 53, data(100))), uint32(0x73))
	f.Add(ipFrame(header.UDPProtocolNumber, 0, udpPacket(1, 54, data(1400))), uint32(0))
	f.Add(ipFrame(header.UDPProtocolNumber, 1<<13, data(800)), uint32(0x43))
	f.Add(ipFrame(header.UDPProtocolNumber, 100, data(801)), uint32(0x43))
	f.Add(ipFrame(header.ICMPv4ProtocolNumber, 0, append([]byte{3, 4, 0, 0, 0, 0, 0, 68}, syn(1)[14:]...)), uint32(0x43))
	f.Add(arpFrame(2, peerMAC, ourMAC), uint32(3))
	f.Add(segment{1, 5, 10, "time"}.frame(), uint32(0x73))
	f.Fuzz(func(t *testing.T, frame []byte, status uint32) {
		s := newStation(t, config())
		s.HandleTCP(func(r *Request) {
			if c, err := r.Accept(); err == nil {
				_ = c.Close()
			}
		})
		s.HandleUDP(func(src, dst netip.AddrPort, payload []byte) error {
			if dst.Port()%2 == 0 {
				return errNobody
			}
			return s.SendUDP(dst, src, payload)
		})
		s.d.MangleRx = func(_ uint32, lo, hi uint64) (uint64, uint64) { return lo, hi | uint64(status&0x273) }
		ends := []int{len(frame), rand.IntN(len(frame) + 1)}
		for _, end := range ends {
			s.d.Deliver(frame[:end])
			if len(frame) > 12 { // what follows an address that is ours gets further
				addressed := append(ourMAC[:], frame[6:]...)
				s.d.Deliver(addressed)
			}
			s.inplace.Poll(s.queue)
			s.passAcks()
			s.pump()
			s.queue.Flush()
		}
		if st := s.d.Stats(); st.TxBad != 0 || st.Faults != 0 {
			t.Errorf("%+v", st)
		}
		s.shutDown()
	})
}
