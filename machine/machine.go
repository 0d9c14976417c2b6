package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"nom.dev/nom/api"
)

// Machine is a running (or ended) QEMU.
type Machine struct {
	cfg     Config
	cmd     *exec.Cmd
	out     *os.File // events, our end
	events  *eventReader
	console tail
	stderr  tail

	killed sync.Once
	byUs   bool // Kill was called before the process ended; written inside killed

	ended       chan struct{} // closed when the process is gone
	consoleDone chan struct{} // closed when the console was read to its end
	waitErr     error         // valid after ended
}

// Start starts QEMU. It is killed when ctx ends and when the calling program does, however it does.
func Start(ctx context.Context, c Config) (*Machine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := &Machine{cfg: c, ended: make(chan struct{}), consoleDone: make(chan struct{})}
	m.cmd = exec.Command(c.QEMU, c.args()...)
	m.cmd.Stderr = &m.stderr
	m.cmd.WaitDelay = 2 * time.Second
	// A group of its own, so that ^C at the terminal reaches us and not QEMU; death of the parent ends it.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.start(); err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-ctx.Done():
			m.Kill()
		case <-m.ended:
		}
	}()
	return m, nil
}

// start makes the pipes, starts the process and the goroutines that serve it.
func (m *Machine) start() error {
	out, outW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for the machine's events: %w", err)
	}
	con, conW, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("pipe for the machine's console: %w", err), out.Close(), outW.Close())
	}
	m.out, m.events = out, newEventReader(out)
	m.cmd.Stdout = outW
	m.cmd.ExtraFiles = []*os.File{conW}
	started := make(chan error)
	go m.serve(started)
	err = <-started
	outW.Close()
	conW.Close()
	if err != nil {
		out.Close()
		con.Close()
		return fmt.Errorf("starting %s: %w", m.cfg.QEMU, err)
	}
	go m.readConsole(con)
	return nil
}

// serve starts the process and waits for it. It keeps its thread for that long: Pdeathsig would kill QEMU as soon as
// the thread that started it ended.
func (m *Machine) serve(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := m.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	m.waitErr = m.cmd.Wait()
	close(m.ended)
}

func (m *Machine) readConsole(r *os.File) {
	defer close(m.consoleDone)
	defer r.Close()
	var w io.Writer = &m.console
	if m.cfg.Console != nil {
		// A console file that cannot be written must not block the machine.
		w = io.MultiWriter(&m.console, &bestEffort{w: m.cfg.Console})
	}
	io.Copy(w, r)
}

// bestEffort passes on writes until the first that fails.
type bestEffort struct {
	w      io.Writer
	failed bool
}

func (b *bestEffort) Write(p []byte) (int, error) {
	if !b.failed {
		_, err := b.w.Write(p)
		b.failed = err != nil
	}
	return len(p), nil
}

// Next returns the next event. It returns io.EOF when the machine has closed the port, and an error that wraps
// ErrGarbage when it sent something that is no event; reading may go on after that.
func (m *Machine) Next() (api.Event, error) { return m.events.next() }

// Kill ends the machine at once. It may be called at any time, by anybody, more than once.
func (m *Machine) Kill() {
	m.killed.Do(func() {
		select {
		case <-m.ended:
			return
		default:
		}
		m.byUs = true
		syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	})
}

// Wait returns how the machine ended, when it has and its console was read to the end.
func (m *Machine) Wait() Exit {
	<-m.ended
	<-m.consoleDone
	m.killed.Do(func() {}) // orders the write of byUs before the read below
	m.out.Close()
	e := Exit{Killed: m.byUs}
	st := m.cmd.ProcessState
	if st == nil {
		e.Err = m.waitErr
		return e
	}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
		return e
	}
	e.Status = st.ExitCode()
	if e.Status == 1 {
		e.Message = strings.TrimSpace(string(m.Stderr()))
	}
	return e
}

// Console returns the end of what the machine printed on its console so far.
func (m *Machine) Console() []byte { return m.console.bytes() }

// Stderr returns the end of what QEMU itself printed so far, without its list of processor features that it cannot
// emulate: every run has it.
func (m *Machine) Stderr() []byte {
	var out []byte
	for line := range bytes.Lines(m.stderr.bytes()) {
		if !bytes.Contains(line, []byte("doesn't support requested feature")) {
			out = append(out, line...)
		}
	}
	return out
}

// Accel says how the machine's instructions are run: KVM or TCG.
func (m *Machine) Accel() string { return m.cfg.Accel }

// Pid is QEMU's process id.
func (m *Machine) Pid() int { return m.cmd.Process.Pid }

// Exit says how QEMU ended.
type Exit struct {
	Status  int    // exit status
	Signal  string // the signal that ended it, or ""
	Killed  bool   // Kill was called
	Message string // what QEMU complained about when it could not start
	Err     error  // the process could not be waited for
}

// PowerOff says that the machine switched itself off through ACPI, or that its processor shut down (triple fault):
// QEMU does not tell the two apart.
func (e Exit) PowerOff() bool { return e.Err == nil && e.Signal == "" && e.Status == 0 }

// DebugCode returns the value that the machine wrote to its debug-exit port.
func (e Exit) DebugCode() (int, bool) {
	if e.Err != nil || e.Signal != "" || e.Status&1 == 0 || e.Message != "" {
		return 0, false
	}
	return e.Status >> 1, true
}

// String describes the end in words.
func (e Exit) String() string {
	code, debug := e.DebugCode()
	switch {
	case e.Err != nil:
		return "QEMU was lost: " + e.Err.Error()
	case e.Killed:
		return "nom stopped it"
	case e.Signal != "":
		return "QEMU was ended by a signal: " + e.Signal
	case e.PowerOff():
		return "it was switched off, or its processor shut down (triple fault)"
	case debug:
		return fmt.Sprintf("it stopped itself with code %d", code)
	case e.Message != "":
		return "QEMU could not run it: " + e.Message
	}
	return fmt.Sprintf("QEMU exited with status %d", e.Status)
}
