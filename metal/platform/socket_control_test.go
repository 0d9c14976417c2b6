package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// Buffers of both sides for struct msghdr, iovec, data and control messages.
var messages [2]struct {
	head    [msghdrSize]byte
	vector  [16]byte
	data    [64]byte
	control [64]byte
}

// message lays a struct msghdr out with the address in addresses[side].
func messageAt(side int, data, control []byte) uint64 {
	m := &messages[side]
	clear(m.data[:])
	clear(m.control[:])
	copy(m.data[:], data)
	copy(m.control[:], control)
	n := len(data)
	if data == nil {
		n = len(m.data)
	}
	binary.LittleEndian.PutUint64(m.vector[:], addressOf(&m.data[0]))
	binary.LittleEndian.PutUint64(m.vector[8:], uint64(n))
	for i, v := range []uint64{addressAt(side), 28, addressOf(&m.vector[0]), 1, addressOf(&m.control[0]), uint64(len(control)), 0} {
		binary.LittleEndian.PutUint64(m.head[8*i:], v)
	}
	return addressOf(&m.head[0])
}

// controlMessage is a struct cmsghdr with its data.
func controlMessage(level, name uint32, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(controlHead+len(data)))
	b = binary.LittleEndian.AppendUint32(b, level)
	b = binary.LittleEndian.AppendUint32(b, name)
	b = append(b, data...)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

// Control messages of datagrams: what is received, and what is sent with one, are those of Linux.
func TestControlLikeLinux(t *testing.T) {
	fakeMachine(t, 1024, nil)
	v4 := func(host ...byte) []byte {
		return controlMessage(levelIP, ipPacketInfo, append(append(make([]byte, 4), host...), 0, 0, 0, 0))
	}
	v6 := func(host []byte) []byte {
		return controlMessage(levelIPv6, ipv6PacketInfo, append(bytes.Clone(host), 0, 0, 0, 0))
	}
	foreign6 := []byte{0x20, 1, 0xd, 0xb8, 15: 1}
	for _, c := range []struct {
		family      uint16
		host        []byte
		level, name uint64
		controls    [][]byte
	}{
		{afInet, host4, levelIP, ipPacketInfo, [][]byte{nil, v4(127, 0, 0, 1), v4(0, 0, 0, 0), v4(192, 0, 2, 1), v4(127, 0, 0, 1)[:20], make([]byte, 16)}},
		{afInet6, host6, levelIPv6, 49, [][]byte{nil, v6(host6), v6(make([]byte, 16)), v6(foreign6), v6(host6)[:35]}},
	} {
		if c.family == afInet6 && !haveIPv6() {
			continue
		}
		var got [2][]string
		for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
			note := func(what string, v any) { got[side] = append(got[side], fmt.Sprintf("%s %v", what, v)) }
			server := call(sysSocket, uint64(c.family), sockDatagram|oCloexec|oNonblock, 0)
			client := call(sysSocket, uint64(c.family), sockDatagram|oCloexec|oNonblock, 0)
			on := binary.LittleEndian.AppendUint32(nil, 1)
			copy(messages[side].data[:], on)
			note("setsockopt", result(call(sysSetsockopt, server, c.level, c.name, addressOf(&messages[side].data[0]), 4)))
			setAddress(side, c.family, make([]byte, len(c.host)), 0)
			note("bind", result(call(sysBind, server, addressAt(side), 28)))
			call(sysGetsockname, server, addressAt(side), lengthAt(side))
			port := binary.BigEndian.Uint16(addresses[side][2:])
			for i, control := range c.controls {
				setAddress(side, c.family, c.host, port)
				note(fmt.Sprint("sendmsg ", i), result(call(sysSendmsg, client, messageAt(side, []byte("datagram"), control), 0)))
				for _, room := range []int{64, 0} { // the second one finds nothing
					setAddress(side, c.family, nil, 0)
					h := messageAt(side, nil, make([]byte, room))
					r := call(sysRecvmsg, server, h, 0)
					note("recvmsg", result(r))
					if int64(r) >= 0 {
						m := &messages[side]
						size := binary.LittleEndian.Uint64(m.head[40:])
						addresses[side][2], addresses[side][3] = 0, 0
						note("control", fmt.Sprint(size, m.control, binary.LittleEndian.Uint32(m.head[48:]), addresses[side][:28]))
					}
				}
			}
			setAddress(side, c.family, c.host, port)
			note("send", result(call(sysSendmsg, client, messageAt(side, []byte("x"), nil), 0)))
			note("recvmsg without room", result(call(sysRecvmsg, server, messageAt(side, nil, nil), 0)))
			note("flags", binary.LittleEndian.Uint32(messages[side].head[48:]))
			call(sysClose, server)
			call(sysClose, client)
		}
		for i := range got[0] {
			if got[0][i] != got[1][i] {
				t.Errorf("family %d: got %s, Linux has %s", c.family, got[0][i], got[1][i])
			}
		}
	}
}

// Structures as options: the state of a connection, timeouts that are not set, lingering.
func TestStructureOptions(t *testing.T) {
	fakeMachine(t, 1024, nil)
	var got [2][]string
	for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
		get := func(what string, fd, level, name uint64, show int) {
			b := messages[side].data[:]
			clear(b)
			binary.LittleEndian.PutUint32(addresses[side][addressLen:], 16)
			r := call(sysGetsockopt, fd, level, name, addressOf(&b[0]), lengthAt(side))
			got[side] = append(got[side], fmt.Sprint(what, result(r), b[:show], addresses[side][addressLen]))
		}
		l := call(sysSocket, afInet, sockStream|oCloexec, 0)
		get("new", l, levelTCP, 11, 1)
		get("linger", l, levelSocket, 13, 8)
		get("receive timeout", l, levelSocket, 20, 16)
		get("send timeout", l, levelSocket, 21, 16)
		setAddress(side, afInet, host4, 0)
		call(sysBind, l, addressAt(side), 16)
		call(sysListen, l, 5)
		get("listening", l, levelTCP, 11, 1)
		call(sysGetsockname, l, addressAt(side), lengthAt(side))
		c := call(sysSocket, afInet, sockStream|oCloexec, 0)
		call(sysConnect, c, addressAt(side), 16)
		s := call(sysAccept, l, 0, 0)
		get("connected", c, levelTCP, 11, 1)
		get("accepted", s, levelTCP, 11, 1)
		for _, fd := range []uint64{l, c, s} {
			call(sysClose, fd)
		}
	}
	for i := range got[0] {
		if got[0][i] != got[1][i] {
			t.Errorf("got %s, Linux has %s", got[0][i], got[1][i])
		}
	}
}
