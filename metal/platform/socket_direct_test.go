package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"nom.dev/nom/metal/inet"
	"pgregory.net/rapid"
)

// directStep is something that happens to a server of datagrams.
type directStep struct {
	Kind           int
	From           uint32 // who sends, or gets what is sent
	FromPort, Port uint16
	Size           int // of what arrives, is read or sent
	Spoil          int // which byte of a frame's headers is changed; from 42 on: none
	Cut            int // bytes that a frame is longer or shorter
	Name           int // how much room there is for the sender's address; less than 0: it is not asked for
}

var directSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) directStep {
	return directStep{
		Kind:     rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5}).Draw(t, "kind"),
		From:     rapid.SampledFrom([]uint32{peerIP, peerIP, peerIP, peerIP + 1, ownIP, 0x7f00_0001, 0xe000_0001, 0x0a00_00ff, ^uint32(0), 0, 0x0808_0808}).Draw(t, "address"),
		FromPort: rapid.SampledFrom([]uint16{5000, 5000, 6000, 0}).Draw(t, "from port"),
		Port:     rapid.SampledFrom([]uint16{localPort, localPort, localPort, 9, 10}).Draw(t, "port"),
		Size:     rapid.SampledFrom([]int{0, 1, 64, 64, 500, 1400, 1472, 1473, 4000}).Draw(t, "size"),
		Spoil:    rapid.SampledFrom([]int{99, 99, 99, 12, 14, 16, 17, 20, 21, 23, 24, 26, 30, 33, 37, 38, 39, 40}).Draw(t, "spoil"),
		Cut:      rapid.SampledFrom([]int{0, 0, 0, 6, -1, -20, -50}).Draw(t, "cut"),
		Name:     rapid.SampledFrom([]int{28, 28, 28, 16, 15, 0, -1}).Draw(t, "name"),
	}
}), 1, 40)

// The shortest way of datagrams does what the ordinary one does: a server that takes it, behind a function that checks checksums, sees
// and sends the same as one that does not.
func TestDirectLikeOrdinary(t *testing.T) {
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		steps := directSteps.Draw(rt, "steps")
		domain := rapid.SampledFrom([]uint64{afInet, afInet6}).Draw(rt, "domain")
		var said [2][]string
		for side := range said {
			t.Run("", func(t *testing.T) {
				s := &directServer{wire: newWire(t, 1024), domain: domain, direct: side == 0}
				s.unsure = side == 1
				said[side] = s.run(steps)
				taken += s.taken
			})
		}
		for i := range said[0] {
			if said[0][i] != said[1][i] {
				rt.Fatalf("step %d of %+v:\ndirect   %.300s\nordinary %.300s", i, steps, said[0][i], said[1][i])
			}
		}
	})
	if taken == 0 {
		t.Error("the shortest way was never taken")
	}
}

type directServer struct {
	*wire
	domain uint64
	direct bool
	taken  int
	fds    []uint64
}

// run returns what each step led to, and what was sent.
func (s *directServer) run(steps []directStep) (said []string) {
	packetID = 0
	var sent [][]byte
	for _, port := range []uint16{localPort, 9} {
		fd := must(s.t, "socket", sysSocket, s.domain, sockDatagram|oNonblock, 0)
		setAddress(0, uint16(s.domain), make([]byte, 16), port)
		must(s.t, "bind", sysBind, fd, addressAt(0), 28)
		s.fds = append(s.fds, fd)
	}
	for _, step := range steps {
		said = append(said, s.step(&step))
		sent = append(sent, s.take()...)
	}
	netPoll() // what nobody read lies in the ring
	sent = append(sent, s.take()...)
	slices.SortFunc(sent, bytes.Compare) // complaints about what nobody wanted leave sooner or later
	s.ended()
	return append(said, fmt.Sprintf("%x", sent))
}

func (s *directServer) step(step *directStep) string {
	fd := s.fds[0]
	switch step.Kind {
	case 0:
		s.deliver(spoilt(step))
		return ""
	case 1:
		return s.read(fd, step)
	case 2:
		return s.write(fd, step)
	case 3:
		return s.read(s.fds[1], step)
	case 4:
		s.pass(time.Duration(step.Size) * time.Millisecond)
		netPoll() // as a poller does
		return fmt.Sprint(readyNow(fd), readyNow(s.fds[1]))
	}
	netPoll() // what came before was not for a connected socket
	s.setName(uint32(peerIP), step.FromPort)
	return result(platformCall(sysConnect, s.fds[1], addressAt(0), 28))
}

// spoilt is a frame with a datagram, which may be wrong.
func spoilt(step *directStep) []byte {
	data := make([]byte, min(step.Size, 1472))
	for i := range data {
		data[i] = byte(i + step.Size)
	}
	f := udpFrame(step.From, step.FromPort, step.Port, data)
	if step.Spoil < len(f) {
		f[step.Spoil] ^= 0x21
		inet.PutBe16(f[inet.EthernetLen+10:], 0) // of which the function does not complain
		inet.PutBe16(f[inet.EthernetLen+10:], inet.Checksum(0, f[inet.EthernetLen:frameHead]))
	}
	if step.Cut > 0 {
		return append(f, make([]byte, step.Cut)...)
	}
	return f[:max(0, len(f)+step.Cut)]
}

func (s *directServer) setName(a uint32, port uint16) {
	host := binary.BigEndian.AppendUint32(nil, a)
	if s.domain == afInet6 {
		host = binary.BigEndian.AppendUint32([]byte{10: 0xff, 11: 0xff}, a)
	}
	setAddress(0, uint16(s.domain), host, port)
}

func (s *directServer) read(fd uint64, step *directStep) string {
	clear(dataBuffers[1][:4000])
	s.setName(0, 0)
	name, length := addressAt(0), lengthAt(0)
	if step.Name < 0 {
		name, length = 0, 0
	} else {
		store32(length, uint32(step.Name))
	}
	r := s.call(sysRecvfrom, fd, buffer(1), uint64(step.Size), 0, name, length)
	return fmt.Sprintf("recvfrom %s, from %x, %x", result(r), addresses[0], dataBuffers[1][:step.Size])
}

func (s *directServer) write(fd uint64, step *directStep) string {
	fill(step.Size, byte(step.Spoil))
	s.setName(step.From, step.FromPort)
	size := map[bool]uint64{true: 16, false: 28}[s.domain == afInet]
	return "sendto " + result(s.call(sysSendto, fd, buffer(0), uint64(step.Size), 0, addressAt(0), size))
}

// call goes the shortest way if it is to, and if it may.
func (s *directServer) call(n uint64, args ...uint64) uint64 {
	if s.direct {
		f := &frame{AX: n, DI: args[0], SI: args[1], DX: args[2], R10: args[3], R8: args[4], R9: args[5]}
		if directCall(cpu(), f) {
			s.taken++
			return f.AX
		}
	}
	return platformCall(n, args...)
}
