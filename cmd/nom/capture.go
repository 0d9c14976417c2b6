package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"nom.dev/nom/api"
)

// endPatience is how long the machine may take to send the last frames of a capture that was ended by ^C.
const endPatience = 10 * time.Second

// tcpdump writes what a container receives and sends to a file, "-" for standard output, until count frames came or ^C.
func (a *app) tcpdump(c *api.Client, name string, d *debugFlags) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx)) // after ^C the last frames still come
	defer cancel()
	begun := context.AfterFunc(a.ctx, cancel)
	frames, err := c.Capture(ctx, name, d.snap, d.count)
	if err != nil {
		return err
	}
	defer frames.Close()
	if !begun() {
		return context.Cause(a.ctx)
	}
	out, file := a.stdout, "standard output"
	if d.tcpdump != "-" {
		f, err := os.Create(d.tcpdump)
		if err != nil {
			return err
		}
		defer f.Close()
		out, file = f, d.tcpdump
	}
	fmt.Fprintf(a.stderr, "nom: writing the frames of %s to %s; ^C ends it\n", name, file)
	stop := context.AfterFunc(a.ctx, func() {
		time.AfterFunc(endPatience, cancel)
		var refused *api.StatusError // it has ended by itself
		if err := c.EndCapture(ctx, name); err != nil && !errors.As(err, &refused) {
			cancel()
		}
	})
	defer stop()
	n, lost, err := writeFrames(out, d.snap, frames.Next)
	fmt.Fprintf(a.stderr, "nom: %d frames written to %s, %d lost\n", n, file, lost)
	return err
}

// pcap is the format of files that tcpdump and Wireshark read (draft-ietf-opsawg-pcap-06), with nanoseconds.
const (
	pcapMagic    = 0xa1b2_3c4d
	pcapMajor    = 2
	pcapMinor    = 4
	pcapEthernet = 1 // the type of the link
)

// pcapHeader is the beginning of a file.
func pcapHeader(snap int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, pcapMagic)
	b = le.AppendUint16(b, pcapMajor)
	b = le.AppendUint16(b, pcapMinor)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, uint32(snap))
	return le.AppendUint32(b, pcapEthernet)
}

// pcapFrame appends a frame.
func pcapFrame(b []byte, f *api.Frame) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(f.Nanos/uint64(time.Second)))
	b = le.AppendUint32(b, uint32(f.Nanos%uint64(time.Second)))
	b = le.AppendUint32(b, uint32(len(f.Data)))
	b = le.AppendUint32(b, uint32(f.Length))
	return append(b, f.Data...)
}

// writeFrames writes frames as they come, and says how many, and how many were lost.
func writeFrames(w io.Writer, snap int, next func() (api.Frame, error)) (n int, lost uint64, err error) {
	if _, err := w.Write(pcapHeader(snap)); err != nil {
		return 0, 0, err
	}
	for buf := []byte(nil); ; {
		f, err := next()
		if errors.Is(err, io.EOF) && !errors.Is(err, api.ErrCut) {
			return n, lost, nil
		}
		if err != nil {
			return n, lost, err
		}
		lost += f.Lost
		if f.Length == 0 {
			continue
		}
		buf = pcapFrame(buf[:0], &f)
		if _, err := w.Write(buf); err != nil {
			return n, lost, err
		}
		n++
	}
}
