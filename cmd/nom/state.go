package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
)

// HomeEnv names the environment variable with the folder of what nom keeps: the machines that run in the background.
const HomeEnv = "NOM_HOME"

// defaultMachine is the machine that is meant when none is named.
const defaultMachine = "default"

// longestSocket is the longest path of a socket on Linux (unix(7)).
const longestSocket = 107

// Files in the folder of a machine. Only its owner may look into it.
const (
	configFile = "machine.json" // machineConfig
	stateFile  = "state.json"   // machineState, while it runs
	imageFile  = "machine.elf"
	logFile    = "machine.log" // what the supervisor says
	startLock  = "start.lock"  // held by who starts or stops it
	runLock    = "run.lock"    // held by the supervisor

	consoleFile = "console.log" // what the machine printed on its console
	portsFile   = "ports.json"  // []forwarded, while it runs
	portsLock   = "ports.lock"  // held by who publishes and frees ports
)

// machineConfig is what a machine is made of.
type machineConfig struct {
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"`
	Accel  string `json:"accel,omitempty"`
}

// machineState is how to reach a machine that runs.
type machineState struct {
	Pid     int       `json:"pid"` // of the supervisor
	Address string    `json:"address"`
	Token   string    `json:"token"`
	Started time.Time `json:"started"`
}

func (s *machineState) client() *api.Client {
	return &api.Client{Base: "http://" + s.Address, Token: s.Token}
}

// home is the folder of the machines.
func home() (string, error) {
	dir := os.Getenv(HomeEnv)
	if dir == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(data) { // as the XDG base directory specification has it
			user, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("a folder for machines: %w: set %s", err, HomeEnv)
			}
			data = filepath.Join(user, ".local", "share")
		}
		dir = filepath.Join(data, "nom")
	}
	dir, err := filepath.Abs(dir)
	return filepath.Join(dir, "machines"), err
}

// machineDir is a machine in the background: its folder.
type machineDir struct{ name, dir string }

func openMachine(name string) (machineDir, error) {
	m := machineDir{name: name}
	if err := manifest.CheckName(name); err != nil {
		return m, fmt.Errorf("machine: %w", err)
	}
	dir, err := home()
	if err != nil {
		return m, err
	}
	m.dir = filepath.Join(dir, name)
	if n := len(m.path("qmp.sock")); n > longestSocket {
		return m, fmt.Errorf("the folder %s is too long for a socket in it, by %d bytes: set %s to a shorter one", m.dir, n-longestSocket, HomeEnv)
	}
	return m, nil
}

func (m machineDir) path(file string) string { return filepath.Join(m.dir, file) }

func (m machineDir) exists() bool {
	_, err := os.Stat(m.path(configFile))
	return err == nil
}

// create makes the folder of a machine.
func (m machineDir) create(c machineConfig) error {
	err := os.MkdirAll(m.dir, 0o700)
	if err == nil {
		err = writeJSON(m.path(configFile), c)
	}
	if err != nil {
		os.Remove(m.dir) // if there is nothing in it
		return fmt.Errorf("a folder for machine %s: %w", m.name, homeHint(err))
	}
	return nil
}

// homeHint says what to do when the disk is full.
func homeHint(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: free some space, or set %s to a folder on another disk", err, HomeEnv)
	}
	return err
}

// writeJSON writes a file at once, for its owner only.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// lock takes a lock of the machine's folder, which the kernel gives up when the process ends.
func (m machineDir) lock(name string) (*os.File, error) { return m.flock(name, syscall.LOCK_EX) }

// probe takes a lock together with others who only look. The error is EWOULDBLOCK when somebody holds it.
func (m machineDir) probe(name string) (*os.File, error) {
	return m.flock(name, syscall.LOCK_SH|syscall.LOCK_NB)
}

func (m machineDir) flock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(m.path(name), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// running is the state of the machine, nil when it does not run.
func (m machineDir) running() (*machineState, error) {
	f, err := m.probe(runLock)
	switch {
	case err == nil:
		return nil, f.Close() // no supervisor has it
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return nil, fmt.Errorf("machine %s: %w", m.name, err)
	}
	s := new(machineState)
	err = readJSON(m.path(stateFile), s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it is starting or stopping
	}
	return s, err
}

// awaitEnd waits until the supervisor has given its lock up.
func (m machineDir) awaitEnd(patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		f, err := m.probe(runLock)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("machine %s does not end: see %s", m.name, m.path(logFile))
		}
	}
}
