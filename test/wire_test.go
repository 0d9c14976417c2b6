package test

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// wire is the other end of a machine's network cable: each datagram is a frame.
type wire struct {
	net.PacketConn
	machine net.Addr
}

// newWire makes a cable; the string is what a machine is plugged in with.
func newWire(t *testing.T) (*wire, string) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freePort(t)}
	return &wire{c, at}, fmt.Sprintf("dgram,local.type=inet,local.host=127.0.0.1,local.port=%d,remote.type=inet,remote.host=127.0.0.1,remote.port=%s",
		at.Port, portOf(c.LocalAddr()))
}

// send sends a frame. It is lost as long as there is no machine.
func (w *wire) send(frame []byte) { _, _ = w.WriteTo(frame, w.machine) }

// broadcast is a frame to everybody, of the kind that test/programs/hostilenic understands.
func broadcast(says string) []byte {
	return append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x07\x88\xb5"+says), make([]byte, 60)...)
}

// receive hands all frames on until the test ends.
func (w *wire) receive(frame func([]byte)) {
	b := make([]byte, 1<<16)
	for {
		n, _, err := w.ReadFrom(b)
		if err != nil {
			return
		}
		frame(b[:n])
	}
}

// says is the text of a frame of that kind, with a VLAN's tag before it if it has one.
func says(b []byte) string {
	tag := ""
	if len(b) > 18 && b[12] == 0x81 && b[13] == 0 {
		tag = fmt.Sprintf("(in VLAN %d) ", int(b[14])<<8|int(b[15]))
		b = b[4:]
	}
	if len(b) < 14 || b[12] != 0x88 || b[13] != 0xb5 {
		return ""
	}
	text, _, _ := strings.Cut(string(b[14:]), "\x00")
	return tag + text
}
