package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/image"
	"nom.dev/nom/machine"
)

// managementPort is where the root container serves the management API, on its own address.
const managementPort = 7070

// startPatience is how long a machine may take until its management API answers.
const startPatience = 5 * time.Minute

// readyFD is the pipe on which a supervisor says that its machine is up: "ok", or what is wrong.
const readyFD = 3

// start starts the machine if it does not run. Two who start it at once start it once.
func (m machineDir) start(ctx context.Context, say func(string)) (*machineState, error) {
	lock, err := m.lock(startLock)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", m.name, err)
	}
	defer lock.Close()
	if s, err := m.running(); s != nil || err != nil {
		return s, err
	}
	var c machineConfig
	if err := readJSON(m.path(configFile), &c); err != nil {
		return nil, err
	}
	say(fmt.Sprintf("starting machine %s: %d CPUs, %v of memory", m.name, c.CPUs, quantity(c.Memory)))
	token := make([]byte, 32)
	rand.Read(token)
	if err := m.image(hex.EncodeToString(token)); err != nil {
		return nil, err
	}
	if err := m.supervise(ctx, hex.EncodeToString(token)); err != nil {
		return nil, err
	}
	s, err := m.running()
	if err == nil && s == nil {
		err = fmt.Errorf("machine %s has ended already: see %s", m.name, m.path(logFile))
	}
	return s, err
}

// image writes the machine's image. It has the token in it, as the folder has.
func (m machineDir) image(token string) error {
	system, err := image.System()
	if err != nil {
		return err
	}
	manage, err := json.Marshal(manifest.Management{Token: token, Port: managementPort})
	if err != nil {
		return err
	}
	packed, err := image.Pack(system, &manifest.Manifest{Version: manifest.Version, Options: map[string]json.RawMessage{manifest.Manage: manage}}, nil)
	if err != nil {
		return err
	}
	return writeImage(m.path(imageFile), system, packed,
		abi.AddressEnv+"="+netip.PrefixFrom(userFirst, userNetwork.Bits()).String(), abi.GatewayEnv+"="+userGateway.String(),
		abi.DNSEnv+"="+userDNS.String())
}

// supervise starts nom again in a session of its own, where it runs the machine, and waits until that is up.
func (m machineDir) supervise(ctx context.Context, token string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(m.path(logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	ready, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(exe, "machine", superviseVerb, m.name)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin = strings.NewReader(token)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{readyW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	readyW.Close()
	if err != nil {
		return fmt.Errorf("starting the machine's supervisor: %w", err)
	}
	_ = ready.SetReadDeadline(time.Now().Add(startPatience))
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := io.ReadAll(io.LimitReader(ready, 64<<10))
	if string(said) == "ok\n" {
		go cmd.Wait()
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(said) > 0:
		return fmt.Errorf("machine %s: %s", m.name, strings.TrimSpace(string(said)))
	case err != nil:
		return fmt.Errorf("machine %s did not get up in %v: see %s", m.name, startPatience, m.path(logFile))
	}
	return fmt.Errorf("the supervisor of machine %s ended: see %s", m.name, m.path(logFile))
}

// superviseVerb is how nom starts itself to run a machine in the background. It is not for people.
const superviseVerb = "supervise"

// supervisor runs a machine until a signal comes or the machine ends.
func supervisor(a *app, name string) error {
	ready := os.NewFile(readyFD, "ready")
	if ready == nil {
		return errors.New("nom starts this by itself: use \"nom machine start\"")
	}
	syscall.CloseOnExec(readyFD)
	m, err := openMachine(name)
	if err == nil {
		err = m.run(a, ready)
	}
	if err != nil {
		fmt.Fprintln(ready, err) // nobody listens any more if it was up
		ready.Close()
	}
	return err
}

// run runs the machine.
func (m machineDir) run(a *app, ready *os.File) error {
	lock, err := m.lock(runLock) // who starts it has found it free; others only look
	if err != nil {
		return err
	}
	defer lock.Close()
	var c machineConfig
	if err := readJSON(m.path(configFile), &c); err != nil {
		return err
	}
	token, err := io.ReadAll(io.LimitReader(os.Stdin, 1024))
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	defer os.Remove(m.path(stateFile))
	defer os.Remove(m.path(portsFile))
	os.Remove(m.path(portsFile))
	console, err := os.OpenFile(m.path(consoleFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	defer os.Remove(machine.MonitorSocket(m.dir))
	os.Remove(machine.MonitorSocket(m.dir))
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	config := machine.Config{CPUs: c.CPUs, Memory: c.Memory, Accel: c.Accel, Image: m.path(imageFile), Dir: m.dir, QMP: true,
		Netdev:  fmt.Sprintf("user,hostfwd=tcp:%v-%v:%d", address, userFirst, managementPort),
		Console: &cappedWriter{w: console, left: mostLog}}
	_, err = machine.Run(a.ctx, config, func(ev api.Event) {
		if ev.Event != api.EventServing {
			return
		}
		s := machineState{Pid: os.Getpid(), Address: address.String(), Token: string(token), Started: time.Now()}
		if err := writeJSON(m.path(stateFile), s); err != nil {
			fmt.Fprintln(ready, err)
		} else {
			fmt.Fprintln(ready, "ok")
			go m.keepPorts(a.ctx, s.client())
		}
		ready.Close()
	})
	return err
}

// freePort is a port that nobody on this computer listens on.
func freePort() (uint16, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}

// mostLog is how much of a machine's console is kept.
const mostLog = 16 << 20

// cappedWriter drops what comes after so many bytes: a machine may print without end.
type cappedWriter struct {
	w    io.Writer
	left int
}

func (c *cappedWriter) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if _, err := c.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// stop ends the machine and everything on it.
func (m machineDir) stop() error {
	lock, err := m.lock(startLock)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := m.running()
	if err != nil || s == nil {
		return err
	}
	if err := syscall.Kill(s.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping machine %s: %w", m.name, err)
	}
	return m.awaitEnd(time.Minute)
}
