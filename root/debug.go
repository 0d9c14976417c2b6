package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// What a developer's computer asks about a program that runs, without the program's help: "nom debug". It gets raw material, of
// which it makes sense with the program's ELF file.

// processOf finds the process of the container that a request names.
func (s *server) processOf(r *http.Request) (process, error) {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return s.m.runningOf(k)
}

// program is GET .../program. The program's memory may be given away as soon as nobody holds the manager's lock.
func (s *server) program(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	size := len(k.program.bytes)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	piece := make([]byte, uploadPiece)
	for at := 0; at < size; {
		n := s.m.copyProgram(k, piece, at)
		if n == 0 {
			return nil // it was removed: the answer is too short
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return nil // nobody reads any more
		}
		at += n
	}
	return nil
}

// copyProgram copies a piece of a program, none when the container was removed.
func (m *manager) copyProgram(w *workload, to []byte, at int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.workloads, w) {
		return 0
	}
	return copy(to, w.program.bytes[at:])
}

// syscalls is GET .../syscalls.
func (s *server) syscalls(w http.ResponseWriter, r *http.Request) error {
	p, err := s.processOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), askPatience)
	defer cancel()
	calls, err := p.Syscalls(ctx)
	if err != nil {
		return asked(err)
	}
	list := []api.Syscall{}
	for _, c := range calls {
		list = append(list, api.Syscall{Number: c.Number, Count: c.Count, Missing: c.Missing})
	}
	return answer(w, 200, list)
}

// memory is POST .../memory.
func (s *server) memory(w http.ResponseWriter, r *http.Request) error {
	p, err := s.processOf(r)
	if err != nil {
		return err
	}
	var ranges []api.Range
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, api.MaxSpec)).Decode(&ranges); err != nil {
		return failed(http.StatusBadRequest, "what to read: %w", err)
	}
	total := 0
	for _, g := range ranges {
		if g.Size < 0 || g.Size > api.MaxRead-total || len(ranges) > api.MaxRanges {
			return failed(http.StatusRequestEntityTooLarge, "at most %d ranges of %d bytes in all can be read at a time", api.MaxRanges, api.MaxRead)
		}
		total += g.Size
	}
	ctx, cancel := context.WithTimeout(r.Context(), readPatience)
	defer cancel()
	data := make([][]byte, len(ranges))
	for i, g := range ranges {
		b := make([]byte, g.Size)
		n, err := p.ReadMemory(ctx, g.Address, b)
		if err != nil {
			return asked(err)
		}
		data[i] = b[:n]
	}
	return answer(w, 200, data)
}

// readPatience is how long reading memory may take in all.
const readPatience = time.Minute

// profile is POST .../profile?seconds=N&rate=N.
func (s *server) profile(w http.ResponseWriter, r *http.Request) error {
	p, err := s.processOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	seconds, serr := strconv.Atoi(q.Get("seconds"))
	rate, rerr := strconv.Atoi(q.Get("rate"))
	if serr != nil || rerr != nil || seconds < 1 || seconds > api.MaxProfile || rate < 1 || rate > abi.ControlRate {
		return failed(http.StatusBadRequest, "profile for 1 to %d seconds, at 1 to %d samples a second", api.MaxProfile, abi.ControlRate)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "application/octet-stream")
	out, sent := bufio.NewWriter(w), false
	lost, err := p.Profile(ctx, rate, func(stack []uint64) error {
		sent = true
		return writeWords(out, append([]uint64{uint64(len(stack))}, stack...))
	})
	if err != nil && !sent {
		w.Header().Del("Content-Type")
		return asked(err)
	}
	if err == nil {
		err = errors.Join(writeWords(out, []uint64{0, lost}), out.Flush())
	}
	if err != nil {
		s.m.report.say("profile of %s: %v", r.PathValue("name"), err) // the answer is too short
	}
	return nil
}

func writeWords(w *bufio.Writer, words []uint64) error {
	for _, v := range words {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		if _, err := w.Write(b[:]); err != nil {
			return err
		}
	}
	return nil
}
