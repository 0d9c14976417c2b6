package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

func TestOutput(t *testing.T) {
	var console, events bytes.Buffer
	r := newReporter(&console, &events)
	r.output("a", 0, []byte("one\ntw"))
	r.output("b", 0, []byte("other\n"))
	r.output("a", 1, []byte("err\x1b[2J\n"))
	r.output("a", 0, []byte("o\nrest"))
	r.output("a", 0, bytes.Repeat([]byte("x"), 2*longestLine))
	r.flush("a")
	r.flush("nobody")
	want := "a| one\r\nb| other\r\na| err.[2J\r\na| two\r\na| rest" + strings.Repeat("x", longestLine-4) + "\r\na| " + strings.Repeat("x", longestLine) + "\r\na| xxxx\r\n"
	if got := console.String(); got != want {
		t.Errorf("console: got %q\nwant %q", got, want)
	}
	// The events carry every byte, in order.
	sum := map[string]string{}
	for line := range strings.Lines(events.String()) {
		var ev api.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Event != api.EventOutput {
			t.Fatalf("got event %q, %v", line, err)
		}
		sum[ev.Container+ev.Stream] += string(ev.Data)
	}
	if got, want := sum["astdout"], "one\ntwo\nrest"+strings.Repeat("x", 2*longestLine); got != want {
		t.Errorf("events: got %q, want %q", got, want)
	}
	if sum["astderr"] != "err\x1b[2J\n" || sum["bstdout"] != "other\n" {
		t.Errorf("events: got %q", sum)
	}
}

func TestExitEvent(t *testing.T) {
	st := abi.Status{State: abi.StateEnded, End: abi.EndMemory, Info: 0x1000, Pages: 512, PeakPages: 100, CPUTime: 500,
		StartTSC: 1000, MainTSC: 1250, EndTSC: 3000}
	st.Exits[abi.ExitPageFault] = 7
	ev := exitEvent("x", st, 1000, 2)
	if ev.Reason != api.ReasonMemory || ev.Code != api.CodeKilled || !strings.Contains(ev.Error, "0x1000") {
		t.Errorf("got %+v", ev)
	}
	s := ev.Stats
	if s.MainTSC != 250 || s.MainSeconds != 0.25 || s.RunSeconds != 2 || s.CPUSeconds != 0.5 || s.Exits["page_fault"] != 7 ||
		s.MemoryPeakBytes != 100*4096 || s.MemoryGrantedBytes != 512*4096 || s.Restarts != 2 {
		t.Errorf("got stats %+v", s)
	}
	ev = exitEvent("x", abi.Status{End: abi.EndExit, Code: 3}, 1000, 0)
	if ev.Code != 3 || ev.Reason != api.ReasonExit || ev.Stats.RunSeconds != 0 {
		t.Errorf("got %+v", ev)
	}
}

// fakePorts is a 16550 that takes everything and is busy for a while after each filled FIFO.
type fakePorts struct {
	sent []byte
	fill int
	busy int
	dead bool
	dlab bool
}

func (p *fakePorts) in(port uint16) uint8 {
	if p.dead {
		return 0
	}
	if p.busy > 0 {
		p.busy--
		return 0
	}
	p.fill = 0
	return lsrTHRE
}

func (p *fakePorts) out(port uint16, v uint8) {
	switch port {
	case com1 + regLCR:
		p.dlab = v&lcrDLAB != 0
	case com1 + regTHR:
		if p.dlab {
			return
		}
		p.fill++
		p.busy = 3
		if p.fill <= fifoSize {
			p.sent = append(p.sent, v)
		}
	}
}

func TestUART(t *testing.T) {
	p := &fakePorts{}
	u := newUART(p, com1)
	text := []byte(strings.Repeat("0123456789", 10))
	if n, err := u.Write(text); n != len(text) || err != nil || !bytes.Equal(p.sent, text) {
		t.Errorf("got %d, %v, sent %q", n, err, p.sent)
	}
	p.dead = true
	for range 3 {
		if n, err := u.Write(text); n != len(text) || err != nil {
			t.Errorf("stuck: got %d, %v", n, err)
		}
	}
	p.dead = false
	p.sent = nil
	u.Write(text) // one try: busy
	u.Write(text)
	u.Write(text)
	u.Write(text)
	if !bytes.HasPrefix(p.sent, text) {
		t.Errorf("after it was stuck: sent %q", p.sent)
	}
}
