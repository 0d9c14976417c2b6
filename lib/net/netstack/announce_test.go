package netstack

import (
	"bytes"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// announcement says that the peer has another Ethernet address now.
func announcement(mac [6]byte) []byte {
	f := arpFrame(1, mac, [6]byte{})
	copy(f[:6], "\xff\xff\xff\xff\xff\xff")
	copy(f[38:42], peerAddr.AsSlice())
	return f
}

// TestAnnounced: a neighbour that says where it is now is asked for its Ethernet address before it is sent anything more, and
// connections with it go on.
func TestAnnounced(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	s.HandleTCP(echo(t))
	s.serve(t)
	c, err := gonet.DialTCP(p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	known := func() (mac tcpip.LinkAddress) {
		list, err := s.stack.Neighbors(nicID, ipv4.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if n.Addr == tcpip.AddrFrom4(peerAddr.As4()) {
				mac = n.LinkAddr
			}
		}
		return mac
	}
	if mac := known(); mac != tcpip.LinkAddress(peerMAC[:]) {
		t.Fatalf("the neighbour has %v", mac)
	}
	s.d.Deliver(announcement([6]byte{2, 0, 0, 0, 0, 0x55}))
	for deadline := time.Now().Add(limit); known() != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the announcement was not heeded")
		}
	}
	if err := converse(c, bytes.Repeat([]byte("nom "), 1000)); err != nil {
		t.Error(err)
	}
}
