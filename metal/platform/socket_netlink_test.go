package main

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"
)

// netlinkDump makes a request of rtnetlink as package net does, and returns the messages of the answer.
func netlinkDump(t *testing.T, kind uint16, family byte) []syscall.NetlinkMessage {
	t.Helper()
	fd := must(t, "socket", sysSocket, afNetlink, sockRaw|oCloexec|oNonblock, 0)
	must(t, "bind", sysBind, fd, addressAt(0), 12)
	must(t, "getsockname", sysGetsockname, fd, addressAt(0), lengthAt(0))
	pid := binary.LittleEndian.Uint32(addresses[0][4:])
	b := dataBuffers[0][:netlinkAsk]
	clear(b)
	b[0] = netlinkAsk
	binary.LittleEndian.PutUint16(b[4:], kind)
	b[8], b[16] = 77, family
	must(t, "sendto", sysSendto, fd, buffer(0), netlinkAsk, 0, addressAt(0), 12)
	n := must(t, "recvfrom", sysRecvfrom, fd, buffer(1), 4096, 0, addressAt(0), lengthAt(0))
	fails(t, "recvfrom", eAGAIN, sysRecvfrom, fd, buffer(1), 4096, 0, 0, 0)
	all, err := syscall.ParseNetlinkMessage(slices.Clone(dataBuffers[1][:n]))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Header.Seq != 77 || m.Header.Pid != pid {
			t.Errorf("header: got %+v", m.Header)
		}
	}
	must(t, "close", sysClose, fd)
	return all
}

// interfaces returns the names or addresses in a dump.
func interfaces(t *testing.T, all []syscall.NetlinkMessage) (names []string) {
	t.Helper()
	for i, m := range all {
		if m.Header.Type == syscall.NLMSG_DONE {
			if i != len(all)-1 {
				t.Error("something lies behind the end")
			}
			return names
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attributes {
			switch {
			case m.Header.Type == syscall.RTM_NEWLINK && a.Attr.Type == syscall.IFLA_IFNAME:
				if n := len(a.Value) - 1; a.Value[n] != 0 {
					t.Errorf("name: got %q", a.Value)
				} else {
					names = append(names, string(a.Value[:n]))
				}
			case m.Header.Type == syscall.RTM_NEWADDR && a.Attr.Type == syscall.IFA_LOCAL:
				ip, ok := netip.AddrFromSlice(a.Value)
				if !ok {
					t.Errorf("address: got %x", a.Value)
				}
				names = append(names, netip.PrefixFrom(ip, int(m.Data[1])).String())
			}
		}
	}
	t.Error("no end")
	return names
}

func TestNetlink(t *testing.T) {
	fakeSockets(t)
	check := func(kind uint16, family byte, want ...string) {
		t.Helper()
		if got := interfaces(t, netlinkDump(t, kind, family)); !slices.Equal(got, want) {
			t.Errorf("dump %d of family %d: got %q, want %q", kind, family, got, want)
		}
	}
	check(rtmGetLink, 0, "lo")
	check(rtmGetAddr, 0, "127.0.0.1/8", "::1/128")
	openGateway(t)
	check(rtmGetLink, 0, "lo", "eth0")
	check(rtmGetAddr, 0, "127.0.0.1/8", "10.0.2.15/32", "::1/128")
	check(rtmGetAddr, afInet, "127.0.0.1/8", "10.0.2.15/32")
	check(rtmGetAddr, afInet6, "::1/128")
	if all := netlinkDump(t, 26, 0); len(all) != 1 || all[0].Header.Type != syscall.NLMSG_ERROR {
		t.Errorf("an unknown request: got %+v", all)
	}
	gateway.count = mostOwn
	for i := range gateway.own {
		gateway.own[i] = ip{0, mapped | 0x0a00_0000 | uint64(i)}
	}
	if got := interfaces(t, netlinkDump(t, rtmGetAddr, 0)); len(got) != mostOwn+2 {
		t.Errorf("as many addresses as there may be: got %q", got)
	}
}

func TestNetlinkHostile(t *testing.T) {
	fakeSockets(t)
	fails(t, "another protocol", ePROTONOSUPPORT, sysSocket, afNetlink, sockRaw, 9)
	fails(t, "a stream", eAFNOSUPPORT, sysSocket, afNetlink, sockStream, 0)
	fd := must(t, "socket", sysSocket, afNetlink, sockRaw|oNonblock, 0)
	for k := range uint64(netlinkHead) {
		fails(t, "cut off", eINVAL, sysWrite, fd, buffer(0), k)
	}
	for _, call := range []uint64{sysConnect, sysListen, sysAccept, sysSetsockopt, sysGetsockopt, sysShutdown, sysGetpeername} {
		fails(t, "call", eOPNOTSUPP, call, fd, buffer(0), 16, buffer(0), buffer(1))
	}
	clear(dataBuffers[0][:netlinkAsk])
	dataBuffers[0][4] = rtmGetAddr
	sent := 0
	for ; sent < 10_000; sent++ { // until nothing fits any more
		if r := platformCall(sysWrite, fd, buffer(0), netlinkAsk); r != netlinkAsk {
			if r != errno(eNOBUFS) {
				t.Errorf("write: got %s", result(r))
			}
			break
		}
	}
	for range sent {
		if n := must(t, "read", sysRead, fd, buffer(1), 10); n != 10 { // the rest is lost
			t.Errorf("read: got %d", n)
		}
	}
	fails(t, "read", eAGAIN, sysRead, fd, buffer(1), 10)
	vmas = vmaTable{}
	vmaShrinks++
	fails(t, "write", eFAULT, sysWrite, fd, 0x1000, netlinkAsk)
	fails(t, "getsockname", eFAULT, sysGetsockname, fd, 0x1000, 0x1000)
}
