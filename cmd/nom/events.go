package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nom.dev/nom/api"
)

const eventsHelp = `
Start, exit, restart (by policy), stop (somebody asked for the end), remove, publish and free (of ports),
dma-blocked (a container's network function has reached for memory or an interrupt that is not the container's), network-off (a program has
reset its network function so often that it was switched off for a while). The machine keeps the last 1024 and numbers them; "dropped" says how many are missing at that place, because they are not kept any more or nom was too slow.
`

func showEvents(a *app, args []string) error {
	fs := a.flagSet("events", eventsHelp)
	var name string
	var since uint64
	follow, f := false, formatTable
	addMachine(fs, &name)
	fs.BoolVarP(&follow, "follow", "f", false, "go on until ^C or the end of the machine")
	fs.Uint64Var(&since, "since", 0, "begin after the event of this `number`")
	fs.Var(&f, "format", "how to print events; json is one object a line")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("events are those of all containers: see \"nom events --help\"")
	}
	r, err := a.reach(name)
	if err != nil {
		return err
	}
	return r.client.Events(a.ctx, since, follow, func(ev api.Event) error {
		if f == formatJSON {
			return json.NewEncoder(a.stdout).Encode(ev)
		}
		_, err := fmt.Fprintln(a.stdout, eventText(ev))
		return err
	})
}

// eventText is an event for people.
func eventText(ev api.Event) string {
	if ev.Event == api.EventDropped {
		return fmt.Sprintf("%d events are not kept any more", ev.Count)
	}
	words := []string{ev.Time.Local().Format(time.RFC3339), ev.Event, ev.Container, ev.Port}
	switch {
	case ev.Event == api.EventExit && ev.Error != "":
		words = append(words, fmt.Sprintf("code %d: %s: %s", ev.Code, ev.Reason, ev.Error))
	case ev.Event == api.EventExit:
		words = append(words, fmt.Sprintf("code %d: %s", ev.Code, ev.Reason))
	case ev.Event == api.EventBlocked || ev.Event == api.EventOff:
		words = append(words, fmt.Sprintf("%d times: %s", ev.Count, ev.Error))
	case ev.Event == api.EventRestart:
		words = append(words, fmt.Sprintf("for the %d. time", ev.Attempt))
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}
