package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	ended   chan struct{} // closed when it has
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
	if b.vf {
		// QEMU does not decode the registers of virtual functions above 4 GiB, where Linux would place them.
		args = append(args, "-global", "q35-pcihost.pci-hole64-size=0")
	}
	args = append(args, "-netdev", "user,id=net0,"+w.forward(port), "-device", "igb,netdev=net0", "-serial", "stdio",
		"-kernel", b.linux.kernel, "-initrd", b.linux.initramfs, "-append", "console=ttyS0 quiet panic=-1 "+b.linux.environment+"-- "+strings.Join(w.linux, " "))
	return start(ctx, "qemu-system-x86_64", args)
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
	return start(ctx, b.nom, args)
}

// start starts QEMU, or nom boot, with a monitor and a file for what QEMU traces.
func start(ctx context.Context, program string, args []string) (*guest, error) {
	dir, err := os.MkdirTemp("", "nom-bench-") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	g := &guest{dir: dir, ended: make(chan struct{})}
	more := []string{"-qmp", "unix:" + g.monitor() + ",server=on,wait=off", "-D", g.trace()}
	if args[0] == "boot" {
		for _, arg := range more {
			args = slices.Insert(args, 1, "--qemu-arg="+arg)
		}
		slices.Reverse(args[1 : 1+len(more)])
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
	go func() {
		_ = g.cmd.Wait()
		close(g.ended)
	}()
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

func (g *guest) trace() string { return g.dir + "/trace" }
