package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"nom.dev/nom/api"
)

// machineDescription is what "nom machine inspect" prints.
type machineDescription struct {
	machineLine
	Folder  string       `json:"folder"`
	Pid     int          `json:"pid,omitempty"` // of the supervisor
	Started time.Time    `json:"started,omitzero"`
	Machine *api.Machine `json:"machine,omitempty"` // what it says of itself
}

func inspectMachine(a *app, m machineDir, _ *machineOptions) error {
	if !m.exists() {
		return fmt.Errorf("there is no machine %s", m.name)
	}
	line, err := m.line()
	if err != nil {
		return err
	}
	d := machineDescription{machineLine: line, Folder: m.dir}
	s, err := m.running()
	if err != nil {
		return err
	}
	if s != nil {
		d.Pid, d.Started = s.Pid, s.Started
		said, err := s.client().Machine(a.ctx)
		if err != nil {
			return err
		}
		d.Machine = &said
	}
	b, err := json.MarshalIndent(d, "", "  ")
	fmt.Fprintf(a.stdout, "%s\n", b)
	return err
}

func machineConsole(a *app, m machineDir, o *machineOptions) error { return a.show(m, consoleFile, o) }
func machineLogs(a *app, m machineDir, o *machineOptions) error    { return a.show(m, logFile, o) }

// show prints a file that a machine's supervisor writes, with follow until the machine ends.
func (a *app) show(m machineDir, file string, o *machineOptions) error {
	if !m.exists() {
		return fmt.Errorf("there is no machine %s", m.name)
	}
	f, err := os.Open(m.path(file))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("machine %s has not run yet", m.name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		lock, ended := m.probe(runLock)
		if ended == nil {
			lock.Close()
		}
		if _, err := io.Copy(a.stdout, f); err != nil || ended == nil || !o.follow {
			return err // what came before the end has been printed
		}
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func machineMetrics(a *app, m machineDir, _ *machineOptions) error {
	r, err := a.reach(m.name)
	if err != nil {
		return err
	}
	text, err := r.client.Metrics(a.ctx)
	fmt.Fprint(a.stdout, text)
	return err
}
