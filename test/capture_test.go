package test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// frame is one of a file of pcap.
type frame struct {
	time   time.Time
	length int
	bytes  []byte
}

// parsePCAP reads a file with nanoseconds, in the order of this computer, of frames of Ethernet.
func parsePCAP(b []byte) (frames []frame, err error) {
	le := binary.LittleEndian
	if len(b) < 24 || le.Uint32(b) != 0xa1b23c4d || le.Uint16(b[4:]) != 2 || le.Uint16(b[6:]) != 4 || le.Uint32(b[20:]) != 1 {
		return nil, fmt.Errorf("% x is not the beginning of a file of pcap", b[:min(len(b), 24)])
	}
	snap := le.Uint32(b[16:])
	for b = b[24:]; len(b) > 0; {
		if len(b) < 16 {
			return frames, io.ErrUnexpectedEOF
		}
		f := frame{time.Unix(int64(le.Uint32(b)), int64(le.Uint32(b[4:]))), int(le.Uint32(b[12:])), nil}
		n := le.Uint32(b[8:])
		if b = b[16:]; int(n) > len(b) || n > snap || int(n) > f.length {
			return frames, fmt.Errorf("a frame of %d bytes has %d, and %d are left", f.length, n, len(b))
		}
		f.bytes, b = b[:n], b[n:]
		frames = append(frames, f)
	}
	return frames, nil
}

// segment is a TCP segment in a frame; nil when it has none.
func (f frame) segment() header.TCP {
	if len(f.bytes) < header.EthernetMinimumSize || header.Ethernet(f.bytes).Type() != header.IPv4ProtocolNumber {
		return nil
	}
	ip := header.IPv4(f.bytes[header.EthernetMinimumSize:])
	if !ip.IsValid(len(ip)) || ip.TransportProtocol() != header.TCPProtocolNumber || len(ip.Payload()) < header.TCPMinimumSize {
		return nil
	}
	return header.TCP(ip.Payload())
}

// captures looks at what a server receives and sends, while it is asked for pages.
func (b *background) captures() {
	b.t.Helper()
	port, closed := freeTCPPort(b.t), freeTCPPort(b.t)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	b.want(nil, "run", "-d", "--name", "seen", "-p", fmt.Sprintf("127.0.0.1:%d:8080", port), "-p", fmt.Sprintf("127.0.0.1:%d:9", closed), "./apps/web")
	if err := browse(b.ctx, url, 1, 1); err != nil {
		b.t.Error(err)
		return
	}
	file := filepath.Join(b.t.TempDir(), "web.pcap")
	said, code := b.capture(func(interrupt func()) {
		if err := browse(b.ctx, url, 2, 5); err != nil {
			b.t.Error(err)
		}
		interrupt()
	}, "--tcpdump", file)
	raw, err := os.ReadFile(file)
	if err != nil {
		b.t.Error(err)
		return
	}
	frames, err := parsePCAP(raw)
	if want := fmt.Sprintf("nom: %d frames written to %s, 0 lost\n", len(frames), file); err != nil || code != 0 || !strings.HasSuffix(said, want) {
		b.t.Errorf("code %d, %v, no %q", code, err, want)
	}
	checkConversation(b.t, frames)

	out := new(bytes.Buffer)
	if _, code = b.captureTo(out, func(func()) { err = browse(b.ctx, url, 1, 3) }, "--tcpdump", "-", "--count", "6", "--snaplen", "60"); code != 0 || err != nil {
		b.t.Errorf("six frames: code %d, %v", code, err)
	}
	frames, err = parsePCAP(out.Bytes())
	if len(frames) != 6 || err != nil {
		b.t.Errorf("got %d frames, %v, want 6", len(frames), err)
	}
	for _, f := range frames {
		if len(f.bytes) > 60 {
			b.t.Errorf("a frame with %d bytes, want at most 60", len(f.bytes))
		}
	}

	bulk := freeTCPPort(b.t)
	b.want(nil, "run", "-d", "--name", "gvisor", "-p", fmt.Sprintf("127.0.0.1:%d:9", bulk), "--stack", "gvisor", "./test/programs/bulk")
	none := filepath.Join(b.t.TempDir(), "none.pcap")
	for _, name := range []string{"gvisor", "busy"} { // busy is in no network
		if _, code := b.run("debug", name, "--tcpdump", none); code != 125 {
			b.t.Errorf("frames of %s: code %d, want 125", name, code)
		}
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("where nothing could be captured there is a file: %v", err)
	}
	b.longPackets("gvisor", bulk)
	b.want(nil, "rm", "-f", "gvisor")
	b.traffic(url, closed)
}

// checkConversation wants a handshake of TCP, and then a request and its answer, whole and at the right times.
func checkConversation(t *testing.T, frames []frame) {
	t.Helper()
	const syn, ack = header.TCPFlagSyn, header.TCPFlagAck
	step, peer, last := 0, uint16(0), time.Now().Add(-5*time.Minute)
	for _, f := range frames {
		if len(f.bytes) != f.length || f.time.Before(last) || f.time.After(time.Now().Add(time.Minute)) {
			t.Errorf("%d of %d bytes at %v, after one at %v", len(f.bytes), f.length, f.time, last)
		}
		last = f.time
		s := f.segment()
		if s == nil {
			continue
		}
		flags := s.Flags() & (syn | ack)
		in, out := s.DestinationPort() == 8080 && (step == 0 || s.SourcePort() == peer), s.SourcePort() == 8080 && s.DestinationPort() == peer
		switch {
		case step == 0 && in && flags == syn:
			step, peer = 1, s.SourcePort()
		case step == 1 && out && flags == syn|ack, step == 2 && in && flags == ack,
			step == 3 && in && bytes.HasPrefix(s.Payload(), []byte("GET / HTTP/1.1\r\n")),
			step == 4 && out && bytes.HasPrefix(s.Payload(), []byte("HTTP/1.1 200 OK\r\n")):
			step++
		}
	}
	if step != 5 {
		t.Errorf("of handshake, request and answer only the first %d of 5 steps are among %d frames", step, len(frames))
	}
}

// capture runs nom debug on the container seen, and does something when it captures. It returns what it said, and its code.
func (b *background) capture(during func(interrupt func()), args ...string) (said string, code int) {
	b.t.Helper()
	return b.captureTo(io.Discard, during, args...)
}

func (b *background) captureTo(out io.Writer, during func(interrupt func()), args ...string) (said string, code int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.ctx, b.nom, append([]string{"debug", "seen"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout = tree, b.env(), out
	begun := make(chan struct{})
	errs := &pressAt{word: []byte("^C ends it\n"), press: func() { close(begun) }}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		b.t.Error(err)
		return "", -1
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	select {
	case <-begun:
		during(func() { _ = cmd.Process.Signal(syscall.SIGINT) })
	case <-ended:
	}
	<-ended
	b.t.Logf("nom debug %s: %v\n%s", strings.Join(args, " "), cmd.ProcessState, errs.all.Bytes())
	return errs.all.String(), cmd.ProcessState.ExitCode()
}
