package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// guest is a machine that runs a server.
type guest struct {
	cmd     *exec.Cmd
	said    bytes.Buffer
	started time.Time
	dir     string
	ended   chan error
}

// qemu is the arguments that both kinds of machine have in common with what nom boot gives QEMU.
var qemu = []string{
	"-machine", "q35", "-cpu", "EPYC,+svm,+npt,+x2apic", "-m", "1G", "-smp", "2", "-display", "none", "-nodefaults", "-no-reboot",
}

// bootLinux starts a Linux guest on the same machine, without what nom needs and Linux does not: the IOMMU.
func (b *bench) bootLinux(ctx context.Context, w workload, port int, count bool) (*guest, error) {
	args := append([]string{}, qemu...)
	if count {
		args = append(args, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on")
	} else {
		args = append(args, "-accel", "tcg,thread=multi")
	}
	args = append(args, "-netdev", "user,id=net0,"+w.forward(port), "-device", "igb,netdev=net0", "-serial", "stdio",
		"-kernel", b.linux.kernel, "-initrd", b.linux.initramfs, "-append", "console=ttyS0 quiet panic=-1 -- "+strings.Join(w.linux, " "))
	return start(ctx, "qemu-system-x86_64", args, func(socket string) []string { return []string{"-qmp", socket} })
}

// bootNom starts a machine with nom.
func (b *bench) bootNom(ctx context.Context, w workload, port int, count bool) (*guest, error) {
	args := []string{"boot", "--cpus", "2", "--dedicated"}
	if count {
		args = append(args, "--icount", "--qemu-arg", "-icount", "--qemu-arg", "sleep=on")
	}
	if w.native {
		args = append(args, "--nic", "user,"+w.forward(port))
	} else {
		args = append(args, "-p", fmt.Sprintf("127.0.0.1:%d:%d/%s", port, w.port, w.network))
	}
	args = append(args, filepath.Join(b.dir, w.nom[0]), "--")
	args = append(args, w.nom[1:]...)
	return start(ctx, b.nom, args, func(socket string) []string { return []string{"--qemu-arg", "-qmp", "--qemu-arg", socket} })
}

func start(ctx context.Context, program string, args []string, monitor func(string) []string) (*guest, error) {
	dir, err := os.MkdirTemp("", "nom-bench-") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	g := &guest{dir: dir, ended: make(chan error, 1)}
	more := monitor("unix:" + g.monitor() + ",server=on,wait=off")
	if args[0] == "boot" {
		args = append(append([]string{"boot"}, more...), args[1:]...)
	} else {
		args = append(args, more...)
	}
	g.cmd = exec.CommandContext(ctx, program, args...)
	g.cmd.Stdout, g.cmd.Stderr = &g.said, &g.said
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(syscall.SIGINT) }
	g.cmd.WaitDelay = 10 * time.Second
	g.started = time.Now()
	if err := g.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { g.ended <- g.cmd.Wait() }()
	return g, nil
}

// stop ends the machine and returns what it said.
func (g *guest) stop() string {
	_ = g.cmd.Process.Signal(syscall.SIGINT)
	<-g.ended
	os.RemoveAll(g.dir)
	return g.said.String()
}

func (g *guest) monitor() string { return g.dir + "/qmp.sock" }

// instructions is how many the machine has executed, all processors together. Those that halt execute none. The machine must count.
func (g *guest) instructions() (uint64, error) {
	c, err := net.Dial("unix", g.monitor())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	answers := json.NewDecoder(bufio.NewReader(c))
	var answer struct {
		QMP    json.RawMessage
		Return struct{ Icount uint64 }
	}
	if err := answers.Decode(&answer); err != nil { // the greeting
		return 0, err
	}
	for _, command := range []string{"qmp_capabilities", "query-replay"} {
		fmt.Fprintf(c, "{\"execute\":%q}\n", command)
		if err := answers.Decode(&answer); err != nil {
			return 0, err
		}
	}
	if answer.Return.Icount == 0 {
		return 0, fmt.Errorf("QEMU does not say how many instructions it executed")
	}
	return answer.Return.Icount, nil
}
