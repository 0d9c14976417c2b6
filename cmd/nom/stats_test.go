package main

import (
	"net/netip"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// TestStats: the share of the processor is that of the whole run at first, and then of the time since the last look.
func TestStats(t *testing.T) {
	start := time.Unix(1000, 0)
	look := func(after time.Duration, cpu float64, started time.Time) []statsLine {
		t.Helper()
		lines, err := selectStats([]api.Container{
			{Name: "web", State: api.StateRunning, Started: started, Stats: &api.Stats{CPUSeconds: cpu}},
			{Name: "old", State: api.StateExited, Stats: &api.Stats{}}, {Name: "new", State: api.StateStarting},
		}, nil, start.Add(after))
		if err != nil || len(lines) != 1 || lines[0].Name != "web" {
			t.Fatalf("got %+v, %v; want web only", lines, err)
		}
		return lines
	}
	last := map[string]statsLine{}
	for _, c := range []struct {
		after   time.Duration
		cpu     float64
		started time.Time
		want    float64
	}{
		{10 * time.Second, 5, start, 50},
		{12 * time.Second, 7, start, 100},
		{13 * time.Second, 7, start, 0},
		{20 * time.Second, 1, start.Add(16 * time.Second), 25}, // it was started again
	} {
		lines := look(c.after, c.cpu, c.started)
		sinceLast(lines, last)
		if got := lines[0].CPUPercent; got != c.want {
			t.Errorf("after %v: %v %%, want %v", c.after, got, c.want)
		}
	}
}

func TestNetworkText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.0Ki", 1500: "1.5Ki", 1 << 20: "1.0Mi", 1023 << 10: "1.0Mi", 5 << 30: "5.0Gi", 1 << 60: "1048576.0Ti"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	traffic, dropped := networkText(&api.Traffic{ReceivedBytes: 2048, SentBytes: 7, Dropped: map[string]uint64{"full": 2, "foreign": 3}})
	if traffic != "2.0Ki / 7B" || dropped != "5 (foreign 3, full 2)" {
		t.Errorf("got %q, %q", traffic, dropped)
	}
	if traffic, dropped = networkText(nil); traffic != "-" || dropped != "-" {
		t.Errorf("of none: got %q, %q", traffic, dropped)
	}
}

func TestExitsText(t *testing.T) {
	for _, c := range []struct {
		exits map[string]uint64
		want  string
	}{
		{nil, "0"}, {map[string]uint64{"halt": 2}, "2 (halt 2)"},
		{map[string]uint64{"halt": 2, "interrupt": 9, "msr": 1, "cpuid": 2}, "14 (interrupt 9, halt 2, cpuid 2)"},
	} {
		if got := countsText(api.ExitNames[:], c.exits); got != c.want {
			t.Errorf("%v: got %q, want %q", c.exits, got, c.want)
		}
	}
}

func TestEventText(t *testing.T) {
	for _, c := range []struct {
		ev   api.Event
		want string
	}{
		{api.Event{Event: api.EventDropped, Count: 3}, "3 events are not kept any more"},
		{api.Event{Event: api.EventStart, Container: "web"}, "start web"},
		{api.Event{Event: api.EventExit, Container: "web", Code: 137, Reason: "memory", Error: "at 0x10"}, "exit web code 137: memory: at 0x10"},
		{api.Event{Event: api.EventBlocked, Container: "web", Count: 7, Error: "the last was a write to 0x1000"}, "dma-blocked web 7 times: the last was a write to 0x1000"},
		{api.Event{Event: api.EventOff, Container: "web", Count: 3, Error: "its program reset it too often"}, "network-off web 3 times: its program reset it too often"},
		{api.Event{Event: api.EventRestart, Container: "web", Attempt: 2}, "restart web for the 2. time"},
		{api.Event{Event: api.EventFree, Container: "web", Port: "1.2.3.4:5->6/tcp"}, "free web 1.2.3.4:5->6/tcp"},
	} {
		want := c.want
		if c.ev.Event != api.EventDropped {
			c.ev.Time = time.Unix(1000, 0)
			want = c.ev.Time.Local().Format(time.RFC3339) + " " + want
		}
		if got := eventText(c.ev); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOverlaps(t *testing.T) {
	port := func(host, protocol string) published {
		return published{host: netip.MustParseAddrPort(host), protocol: protocol}
	}
	for _, c := range []struct {
		a, b published
		want bool
	}{
		{port("0.0.0.0:80", "tcp"), port("127.0.0.1:80", "tcp"), true},
		{port("127.0.0.1:80", "tcp"), port("127.0.0.1:80", "tcp"), true},
		{port("127.0.0.1:80", "tcp"), port("127.0.0.2:80", "tcp"), false},
		{port("127.0.0.1:80", "tcp"), port("127.0.0.1:81", "tcp"), false},
		{port("127.0.0.1:80", "tcp"), port("127.0.0.1:80", "udp"), false},
	} {
		if c.a.overlaps(&c.b) != c.want || c.b.overlaps(&c.a) != c.want {
			t.Errorf("%v %s and %v %s: want %v", c.a.host, c.a.protocol, c.b.host, c.b.protocol, c.want)
		}
	}
}
