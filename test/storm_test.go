package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nom.dev/nom/machine"
)

// Frames of others on the network of TestStorms. The gateway's address is never given as theirs: that would be ARP as everybody knows it.
var (
	strangerMAC  = []byte{2, 0, 0, 0, 0, 9}
	webMAC       = []byte{0x52, 0x54, 0, 0x12, 0x24, 0x56} // of the first network function
	echoMAC      = []byte{0x52, 0x54, 0, 0x12, 0x14, 0x56} // of the second
	everybodyMAC = []byte{255, 255, 255, 255, 255, 255}
)

const strangerIP, webIP, echoIP = 0x0a00024d, 0x0a00020f, 0x0a000210

// TestStorms: an unchanged HTTP server behind the uplink and a server on the native interface go on while malformed frames come from
// outside, and each while a flood of small datagrams comes for the other.
func TestStorms(t *testing.T) {
	web := run("apps/web").on(1).place("10.0.2.15/24")
	echo := run("apps/echo", "-address", "10.0.2.16/24").on(1)
	echo.NIC = true
	w, cable := newWire(t)
	var back atomic.Uint64
	answers := make(chan []byte, 100)
	go w.receive(func(b []byte) {
		if back.Add(1); isAnswer(b) {
			select {
			case answers <- bytes.Clone(b):
			default:
			}
		}
	})
	webPort := freeTCPPort(t)
	hw := hardware{cpus: 2, memory: gib, netdev: "hubport,hubid=0", patience: 3 * defaultPatience}
	console := new(bytes.Buffer)
	config := hw.config(console)
	config.Image = machineImage(t, hw, []*guest{web, echo})
	config.ExtraArgs = []string{
		"-netdev", fmt.Sprintf("user,id=lan,restrict=on,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:8080", webPort),
		"-netdev", "hubport,id=port1,hubid=0,netdev=lan",
		"-netdev", strings.Replace(cable, "dgram,", "dgram,id=cable,", 1), "-netdev", "hubport,id=port2,hubid=0,netdev=cable",
	}
	ctx, cancel := hw.limit(t)
	defer cancel()
	o := &outcome{t: t, containers: map[string]*end{}, console: console}
	ended := make(chan error, 1)
	go func() {
		_, err := machine.Run(ctx, config, o.handle)
		ended <- err
		cancel() // nobody answers any more
	}()
	url := fmt.Sprintf("http://127.0.0.1:%d/", webPort)
	pages := func() error { return browse(ctx, url, 2, 50) }
	datagrams := func() error { return w.ask(ctx, answers, 50) }
	r := rand.New(rand.NewPCG(5, 6))
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	err := awaitPage(ctx, &client, url)
	first := ""
	if err == nil {
		first, err = pageOf(ctx, &client, url)
	}
	open := func() error { // this connection stays
		for range 50 {
			if p, err := pageOf(ctx, &client, url); err != nil || p != first {
				return fmt.Errorf("got %q, %w, on the connection that said %q", p, err, first)
			}
		}
		return nil
	}
	for _, s := range []struct {
		name  string
		frame func() []byte
		check func() error
	}{
		{"calm, pages", nil, pages},
		{"calm, datagrams", nil, datagrams},
		{"malformed frames, pages", func() []byte { return malformed(r) }, pages},
		{"malformed frames, datagrams", func() []byte { return malformed(r) }, datagrams},
		{"datagrams at the web server, datagrams", small(webMAC, webIP, 9), datagrams},
		{"datagrams at the web server, pages", small(webMAC, webIP, 9), pages},
		{"datagrams at the echo, pages", small(echoMAC, echoIP, 7), pages},
		{"SYNs at the web server, an open connection", func() []byte { return syn(r) }, open},
		{"calm again, pages", nil, pages},
		{"calm again, datagrams", nil, datagrams},
	} {
		if err != nil {
			break
		}
		stop := w.storm(s.frame)
		start, before := time.Now(), back.Load()
		for err = s.check(); err == nil && s.frame != nil && time.Since(start) < stormTime(); err = s.check() {
		}
		sent := stop()
		took := time.Since(start)
		if t.Logf("%-40s %8v, %.0f frames/s from outside, %.0f back", s.name, took.Round(time.Millisecond), float64(sent)/took.Seconds(),
			float64(back.Load()-before)/took.Seconds()); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
	}
	cancel()
	end := <-ended
	if err != nil {
		t.Fatalf("%v\nthe machine ended with: %v\n%s", err, end, o.said())
	}
	o.check(!strings.Contains(console.String(), "blocked"), "the IOMMU blocked something")
	for name, e := range o.containers {
		o.check(len(e.exits) == 0, "%s ended: %+v", name, e.exits)
	}
}

// questionPort is where the answers to ask go; the storms have another.
const questionPort = 0x3050

// isAnswer says whether a frame is from the echo's port to ask.
func isAnswer(b []byte) bool {
	return len(b) > 42 && bytes.Equal(b[6:12], echoMAC) && b[23] == 17 && binary.BigEndian.Uint32(b[30:]) == strangerIP &&
		binary.BigEndian.Uint16(b[36:]) == questionPort
}

// ask sends datagrams to the echo, each until its answer comes.
func (w *wire) ask(ctx context.Context, answers <-chan []byte, n int) error {
	for i := range n {
		want := fmt.Sprintf("question %06d of %06d", i, n)
		datagram := append([]byte{questionPort >> 8, questionPort & 0xff, 0, 7, 0, byte(8 + len(want)), 0, 0}, want...)
		for answered := false; !answered; {
			w.send(ethernet(echoMAC, 0x0800, ipv4(echoIP, 17, datagram)))
			select {
			case b := <-answers:
				answered = string(b[42:min(len(b), 42+len(want))]) == want
			case <-time.After(time.Second):
			case <-ctx.Done():
				return fmt.Errorf("no answer to datagram %d: %w", i, ctx.Err())
			}
		}
	}
	return nil
}

// stormTime is how long each storm lasts.
func stormTime() time.Duration {
	if os.Getenv(soakEnv) != "" {
		return time.Minute
	}
	return 2 * time.Second
}

// storm sends frames, some thousands a second, until stop is called, which says how many there were.
func (w *wire) storm(frame func() []byte) (stop func() int) {
	if frame == nil {
		return func() int { return 0 }
	}
	end, sent := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; {
			for range 10 {
				w.send(frame())
				n++
			}
			select {
			case <-end:
				sent <- n
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() int {
		close(end)
		return <-sent
	}
}

// ethernet makes a frame.
func ethernet(to []byte, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, to...), strangerMAC...)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = append(b, payload...)
	for len(b) < 60 {
		b = append(b, 0)
	}
	return b
}

// ipv4 makes a packet with a right checksum.
func ipv4(to uint32, protocol byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint32(b[12:], strangerIP)
	binary.BigEndian.PutUint32(b[16:], to)
	binary.BigEndian.PutUint16(b[10:], ^sum16(b))
	return append(b, payload...)
}

// small makes frames with datagrams of one byte, without a checksum.
func small(mac []byte, ip uint32, port uint16) func() []byte {
	datagram := []byte{0x30, 0x39, byte(port >> 8), byte(port), 0, 9, 0, 0, 'x'}
	frame := ethernet(mac, 0x0800, ipv4(ip, 17, datagram))
	return func() []byte { return frame }
}

// syn asks the web server for a connection, in the name of somebody beyond the gateway who does not exist.
func syn(r *rand.Rand) []byte {
	segment := binary.BigEndian.AppendUint16(nil, uint16(r.Uint32N(60000)+1024))
	segment = binary.BigEndian.AppendUint16(segment, 8080)
	segment = binary.BigEndian.AppendUint32(segment, r.Uint32())
	segment = append(segment, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
	packet := ipv4(webIP, 6, segment)
	from := uint32(0xc6120000) | r.Uint32N(1<<16) // 198.18.0.0/16
	binary.BigEndian.PutUint32(packet[12:], from)
	packet[10], packet[11] = 0, 0
	binary.BigEndian.PutUint16(packet[10:], ^sum16(packet[:20]))
	pseudo := append(append([]byte{}, packet[12:20]...), 0, 6, 0, byte(len(segment)))
	binary.BigEndian.PutUint16(packet[36:], ^sum16(append(pseudo, packet[20:]...)))
	return ethernet(webMAC, 0x0800, packet)
}

// sum16 is the sum of RFC 1071 over an even number of bytes.
func sum16(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum&0xffff + sum>>16
	return uint16(sum + sum>>16)
}

// malformed makes a frame that is nearly right, or not at all.
func malformed(r *rand.Rand) []byte {
	mac, ip := webMAC, uint32(webIP)
	if r.IntN(2) == 0 {
		mac, ip = echoMAC, echoIP
	}
	if r.IntN(4) == 0 {
		mac = everybodyMAC
	}
	random := make([]byte, r.IntN(1400))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var b []byte
	switch r.IntN(6) {
	case 0: // ARP
		b = ethernet(mac, 0x0806, append([]byte{0, 1, 8, 0, 6, 4, 0, byte(r.IntN(4))}, random...))
		spoil(r, b[14:])
		copy(b[min(28, len(b)-4):], "\x0a\x00\x02\x4d") // the sender is a stranger, whatever else is wrong
		return b[:14+r.IntN(len(b)-14)]
	case 1: // TCP
		segment := append([]byte{0x30, byte(r.Uint32()), 0x1f, 0x90, 1, 2, 3, 4, 5, 6, 7, 8, byte(r.Uint32()), byte(r.Uint32())}, random...)
		b = ethernet(mac, 0x0800, ipv4(ip, 6, segment))
	case 2: // UDP
		b = ethernet(mac, 0x0800, ipv4(ip, 17, append([]byte{0x30, 0x39, 0, 7, byte(r.Uint32()), byte(r.Uint32()), 0, 0}, random...)))
	case 3: // ICMP: all types, echoes of what was never sent
		b = ethernet(mac, 0x0800, ipv4(ip, 1, append([]byte{byte(r.IntN(20)), byte(r.IntN(16)), 0, 0}, random...)))
	case 4: // IPv6, and kinds that nobody knows
		b = ethernet(mac, []uint16{0x86dd, 0x8100, 0x88a8, 0x8847, 5, 0x0800}[r.IntN(6)], append([]byte{0x60}, random...))
	case 5: // anything
		b = ethernet(mac, uint16(r.Uint32()), random)
	}
	spoil(r, b[14:])
	withoutSCTP(b[12:])
	return b[:14+r.IntN(len(b)-13)]
}

// withoutSCTP leaves no byte that can name SCTP as a packet's protocol, in whatever header: QEMU's card ends QEMU when such a packet is
// cut short (CAVEATS.md).
func withoutSCTP(b []byte) {
	const sctp = 132
	for i := range b {
		if b[i] == sctp {
			b[i]++
		}
	}
}

// spoil changes some bytes, the first ones, which are of headers, more often.
func spoil(r *rand.Rand, b []byte) {
	for range r.IntN(4) {
		b[r.IntN(min(len(b), 1+r.IntN(len(b))))] = byte(r.Uint32())
	}
}
