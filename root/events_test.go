package main

import (
	"errors"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// story is what happened after event since, in words.
func (r *rig) story(t *testing.T, since uint64) []string {
	t.Helper()
	var list []string
	last := since
	err := r.Events(t.Context(), since, false, func(ev api.Event) error {
		if ev.Event != api.EventDropped && ev.Seq != last+1 || ev.Event != api.EventDropped && ev.Time.IsZero() {
			t.Errorf("after %d came %+v", last, ev)
		}
		last = ev.Seq
		list = append(list, strings.TrimSpace(ev.Event+" "+ev.Container+" "+ev.Port))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (r *rig) wantStory(t *testing.T, want ...string) {
	t.Helper()
	if got := r.story(t, 0); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEvents(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	const port = "127.0.0.1:80->80/tcp"
	if _, err := r.begin(t, api.Spec{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	seen := make(chan error)
	go func() {
		seen <- r.Events(ctx, 1, true, func(ev api.Event) error {
			if ev.Event == api.EventRemove {
				return enough
			}
			return nil
		})
	}()
	if err := r.Note(ctx, api.Event{Event: api.EventPublish, Container: "web", Port: port}); err != nil {
		t.Error(err)
	}
	for _, bad := range []api.Event{
		{}, {Event: api.EventExit, Container: "web", Port: port}, {Event: api.EventFree, Container: "web"},
		{Event: api.EventFree, Container: "web", Port: "a\x1bb"}, {Event: api.EventFree, Container: "../web", Port: port}, {Event: api.EventFree, Container: "web", Port: strings.Repeat("x", 100)},
	} {
		if err := r.Note(ctx, bad); status(err) != 400 {
			t.Errorf("%+v: %v, want 400", bad, err)
		}
	}
	_, _ = r.Kill(ctx, "web")
	if err := r.Remove(ctx, "web", false); err != nil {
		t.Error(err)
	}
	r.wantStory(t, "start web", "publish web "+port, "stop web", "exit web", "remove web")
	if err := <-seen; !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestEventsDropped: who comes late, or is slow, is told how much is missing.
func TestEventsDropped(t *testing.T) {
	var r eventRing
	for range api.MaxEvents + 5 {
		r.add(api.Event{Event: api.EventStart})
	}
	for _, c := range []struct {
		since, dropped uint64
		first, n       int
	}{
		{0, 5, 6, api.MaxEvents}, {3, 2, 6, api.MaxEvents}, {5, 0, 6, api.MaxEvents}, {api.MaxEvents, 0, api.MaxEvents + 1, 5},
		{api.MaxEvents + 5, 0, 0, 0}, {1 << 63, 0, 0, 0},
	} {
		list, dropped, _ := r.after(c.since)
		if dropped != c.dropped || len(list) != c.n || c.n > 0 && list[0].Seq != uint64(c.first) {
			t.Errorf("after %d: %d events, %d dropped", c.since, len(list), dropped)
		}
	}
	_, _, more := r.after(api.MaxEvents + 5)
	r.add(api.Event{})
	<-more
	rig := newRig(t)
	for range api.MaxEvents + 5 {
		rig.m.events.add(api.Event{Event: api.EventStart})
	}
	if got := rig.story(t, 0); len(got) != api.MaxEvents+1 || got[0] != api.EventDropped {
		t.Errorf("%d events, the first %q", len(got), got[0])
	}
	if err := rig.Events(t.Context(), 3, false, func(ev api.Event) error {
		if ev.Event != api.EventDropped || ev.Count != 2 || ev.Seq != 5 {
			t.Errorf("first came %+v", ev)
		}
		return errors.New("enough")
	}); err == nil {
		t.Error("nothing came")
	}
}

// TestRestartPolicy: a program that fails is started again as often as its policy says, at the same address, and its end is the last one.
func TestRestartPolicy(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	k, err := r.begin(t, api.Spec{Name: "bad", Restart: "on-failure:2", Network: true}, "3")
	if err != nil {
		t.Fatal(err)
	}
	end, err := r.Wait(ctx, "bad")
	if err != nil || end.Code != 3 || end.Restarts != 2 || end.Address != k.Address || end.State != api.StateExited {
		t.Errorf("%+v, %v", end, err)
	}
	r.wantStory(t, "start bad", "exit bad", "restart bad", "start bad", "exit bad", "restart bad", "start bad", "exit bad")
	if n := len(r.starter.specs); n != 3 {
		t.Errorf("it was started %d times, want 3", n)
	}
	if _, err := r.begin(t, api.Spec{Name: "good", Restart: "on-failure"}, "0"); err != nil {
		t.Fatal(err)
	}
	if k, err := r.Wait(ctx, "good"); err != nil || k.Restarts != 0 {
		t.Errorf("one that succeeds: %+v, %v", k, err)
	}
	if _, err := r.begin(t, api.Spec{Name: "odd", Restart: "sometimes"}, "0"); status(err) != 400 {
		t.Errorf("a policy that there is not: %v", err)
	}
}

// TestStopRestarting: who is stopped stays so, also between two runs.
func TestStopRestarting(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	if _, err := r.begin(t, api.Spec{Name: "loop", Restart: "always"}, "0"); err != nil {
		t.Fatal(err)
	}
	err := r.Events(ctx, 0, true, func(ev api.Event) error {
		if ev.Event == api.EventRestart && ev.Attempt == 3 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	k, err := r.Kill(ctx, "loop")
	if err != nil || k.State != api.StateExited || k.Restarts < 3 {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := r.begin(t, api.Spec{Name: "server", Restart: "always"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.begin(t, api.Spec{Name: "polite", Restart: "always"}); err != nil {
		t.Fatal(err)
	}
	if k, err := r.Stop(ctx, "polite", api.StopPatience); err != nil || k.State != api.StateExited || k.Restarts != 0 || k.Code != 143 {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := r.Kill(ctx, "server"); err != nil || k.State != api.StateExited || k.Restarts != 0 || k.Code != api.CodeKilled {
		t.Errorf("%+v, %v", k, err)
	}
}

var errEnough = errors.New("enough")

// TestKillWhileStarting: it ends as soon as it has started.
func TestKillWhileStarting(t *testing.T) {
	r := newRig(t)
	if _, err := r.begin(t, api.Spec{Name: "x"}, "0"); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Wait(t.Context(), "x")
	w, _ := r.m.find("x")
	w.spec.Args = w.spec.Args[:1] // from now on it runs
	r.m.mu.Lock()
	if err := r.m.admit(w); err != nil {
		t.Fatal(err)
	}
	r.m.mu.Unlock()
	done, err := r.m.kill(w)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.m.launch(w); err != nil {
		t.Fatal(err)
	}
	<-done
	if k := r.m.describeContainer(w); k.Reason != api.ReasonKilled {
		t.Errorf("%+v", k)
	}
}

func TestMemoryBytes(t *testing.T) {
	if st := stats(abi.Status{State: abi.StateRunning, Attached: 2}, 1); st.MemoryBytes != 2*abi.PageSize {
		t.Errorf("got %d", st.MemoryBytes)
	}
	if st := stats(abi.Status{State: abi.StateEnded, Attached: 2}, 1); st.MemoryBytes != 0 {
		t.Errorf("of one that has ended: got %d", st.MemoryBytes)
	}
}
