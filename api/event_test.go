package api

import (
	"encoding/json"
	"testing"

	"nom.dev/nom/abi"
)

func TestDropNames(t *testing.T) {
	if len(DropNames) != abi.NumDrops {
		t.Errorf("got %d names of causes, want %d", len(DropNames), abi.NumDrops)
	}
}

func TestExitNames(t *testing.T) {
	if len(ExitNames) != abi.NumExits {
		t.Errorf("got %d names of exits, want %d", len(ExitNames), abi.NumExits)
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		reason    string
		code, got int
	}{
		{ReasonExit, 0, 0}, {ReasonExit, 3, 3}, {ReasonStartFailed, 0, 126}, {ReasonKilled, 0, 137}, {ReasonMemory, 0, 137},
		{ReasonParent, 0, 137}, {ReasonShutdown, 0, 139}, {ReasonIllegal, 0, 139},
	} {
		if got := ExitCode(c.reason, c.code); got != c.got {
			t.Errorf("%s %d: got code %d, want %d", c.reason, c.code, got, c.got)
		}
	}
}

// The words of the protocol are what the other side has been told: a change needs a new Version.
func TestGolden(t *testing.T) {
	ev := Event{Event: EventExit, Container: "hello", Code: 137, Reason: ReasonMemory, Error: "why", Stats: &Stats{
		Exits: map[string]uint64{"halt": 2}, CPUSeconds: 0.5, MemoryPeakBytes: 4096, MemoryGrantedBytes: 8192, MainTSC: 7, MainSeconds: 0.25, RunSeconds: 1, Restarts: 3}}
	const want = `{"event":"exit","container":"hello","code":137,"reason":"memory","error":"why","stats":{"exits":{"halt":2},"cpu_seconds":0.5,` +
		`"memory_peak_bytes":4096,"memory_granted_bytes":8192,"main_tsc":7,"main_seconds":0.25,"run_seconds":1,"restarts":3}}`
	got, err := json.Marshal(ev)
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}
