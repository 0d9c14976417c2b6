package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"nom.dev/nom/api"
)

const runHelp = `
The program is built if it is a Go package, and sent to the machine, which is started if it does not run. nom follows what it
prints and ends with its exit code. ^C sends SIGTERM to the program, and a second one ends the container. With -d it runs in the background: see "nom ps" and "nom logs".

  nom run ./apps/hello
  nom run -d --name web -p 8080:8080 ./apps/web
`

// runFlags are the flags of run.
type runFlags struct {
	machine  string
	detach   bool
	remove   bool
	name     string
	env      []string
	envFiles []string
	memory   quantity
	vcpus    int
	publish  []string
	network  bool
	stack    string
	rate     rate
	restart  restart
	tags     string
}

func (r *runFlags) add(fs *pflag.FlagSet) {
	r.restart = "no"
	addMachine(fs, &r.machine)
	fs.BoolVarP(&r.detach, "detach", "d", false, "leave it in the background and print its name")
	fs.BoolVar(&r.remove, "rm", false, "forget the container when it has ended; not with -d")
	fs.StringVar(&r.name, "name", "", "name of the container; default: that of the program")
	fs.StringArrayVarP(&r.env, "env", "e", nil, "set a `variable` of its environment: NAME=VALUE, or NAME to take it from here")
	fs.StringArrayVar(&r.envFiles, "env-file", nil, "read variables from a `file`, one a line")
	fs.VarP(&r.memory, "memory", "m", "memory of the container; default: the machine decides")
	fs.IntVar(&r.vcpus, "vcpus", 0, "its virtual processors; default: the machine decides")
	fs.StringArrayVarP(&r.publish, "publish", "p", nil, "lead a `port` of this computer to one of the container: [ADDRESS:]PORT:PORT[/udp] (repeat it)")
	fs.StringVar(&r.stack, "stack", "", stackUsage)
	fs.BoolVar(&r.network, "network", false, "let the program reach the network outside; -p does so, too")
	fs.Var(&r.restart, "restart", "when to start the program again after it has ended: no, on-failure[:N] or always")
	fs.Var(&r.rate, "net", "most that it may send, and receive, in a second: 10Mbps, 2kfps (frames) or 10Mbps,2kfps; needs -p or --network")
	fs.StringVar(&r.tags, "tags", "", "comma-separated build `tags`")
}

// addMachine adds the flag that says which machine is meant.
func addMachine(fs *pflag.FlagSet, name *string) {
	fs.StringVar(name, "machine", defaultMachine, "`name` of the machine in the background")
}

func runProgram(a *app, args []string) error {
	fs := a.flagSet("run", runHelp)
	var r runFlags
	r.add(fs)
	if err := a.parse(fs, args); err != nil {
		return err
	}
	names, progArgs := splitArgs(fs)
	if len(names) != 1 {
		return fmt.Errorf("name one program: see \"nom run --help\"")
	}
	if r.detach && r.remove {
		return fmt.Errorf("--rm and -d do not go together: use \"nom rm\" when it has ended")
	}
	if r.rate != (rate{}) && !r.network && len(r.publish) == 0 {
		return fmt.Errorf("--net limits the container's network, and it is in none: add -p or --network")
	}
	ports, err := r.ports()
	if err != nil {
		return err
	}
	spec, program, err := r.build(a, names[0], progArgs)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := p.isFree(); err != nil {
			return err
		}
		spec.Ports = append(spec.Ports, p.String())
	}
	m, s, err := a.machineUp(r.machine)
	if err != nil {
		return err
	}
	k, err := a.create(s.client(), spec, program, r.name != "")
	if err != nil {
		return err
	}
	if err := m.publish(k, ports); err != nil {
		return errors.Join(err, s.client().Remove(context.WithoutCancel(a.ctx), k.Name, true))
	}
	if r.detach {
		fmt.Fprintln(a.stdout, k.Name)
		return nil
	}
	return a.attach(m, s.client(), k, r.remove)
}

// ports reads what -p says.
func (r *runFlags) ports() ([]published, error) {
	var list []published
	for _, text := range r.publish {
		p, err := parsePublished(text)
		if err != nil {
			return nil, err
		}
		if p.container != "" {
			return nil, fmt.Errorf("-p %s: there is one container only: leave %s= away", text, p.container)
		}
		if slices.ContainsFunc(list, func(q published) bool { return q.host == p.host && q.protocol == p.protocol }) {
			return nil, fmt.Errorf("-p %s: that port of this computer is published already", text)
		}
		list = append(list, p)
	}
	return list, nil
}

// build makes the program and says how to start it.
func (r *runFlags) build(a *app, arg string, args []string) (*api.Spec, []byte, error) {
	programs, err := resolve(a.ctx, []string{arg}, r.tags)
	if err != nil {
		return nil, nil, err
	}
	if len(programs) != 1 {
		return nil, nil, fmt.Errorf("%s is %d programs: name one", arg, len(programs))
	}
	env, err := environment(r.envFiles, r.env)
	if err != nil {
		return nil, nil, err
	}
	tmp, err := os.MkdirTemp("", "nom-")
	if err != nil {
		return nil, nil, fmt.Errorf("directory for the program: %w", err)
	}
	defer os.RemoveAll(tmp)
	p := programs[0]
	c := &container{pkg: p.pkg, elf: p.file}
	c.Name = p.name
	if err := (&packer{tmp: tmp, tags: r.tags}).build(a.ctx, []*container{c}); err != nil {
		return nil, nil, err
	}
	program, err := os.ReadFile(c.elf)
	if err != nil {
		return nil, nil, err
	}
	spec := &api.Spec{Name: p.name, Args: append([]string{p.name}, args...), Env: env, Memory: uint64(r.memory), VCPUs: r.vcpus,
		Network: r.network || len(r.publish) > 0, Stack: r.stack, Restart: string(r.restart)}
	if r.rate != (rate{}) {
		spec.Rate = &api.Rate{Bits: r.rate.bits, Frames: r.rate.frames}
	}
	if r.name != "" {
		spec.Name = r.name
	}
	return spec, program, nil
}

// machineUp starts the machine if it does not run; the default one is made first if need be.
func (a *app) machineUp(name string) (machineDir, *machineState, error) {
	m, err := openMachine(name)
	if err != nil {
		return m, nil, err
	}
	if !m.exists() {
		if name != defaultMachine {
			return m, nil, fmt.Errorf("there is no machine %s: make it with \"nom machine create %s\"", name, name)
		}
		if err := m.create(machineConfig{CPUs: defaultCPUs, Memory: defaultMemory}); err != nil {
			return m, nil, err
		}
	}
	s, err := m.start(a.ctx, func(text string) { fmt.Fprintf(a.stderr, "nom: %s\n", text) })
	return m, s, homeHint(err)
}

// create uploads a program. A name that the user has not chosen gets a number if it is taken.
func (a *app) create(c *api.Client, spec *api.Spec, program []byte, chosen bool) (api.Container, error) {
	name := spec.Name
	for n := 2; ; n++ {
		k, err := c.Create(a.ctx, spec, program, a.progress(len(program)))
		var refused *api.StatusError
		if chosen || n > api.MaxWorkloads+1 || !errors.As(err, &refused) || refused.Status != http.StatusConflict {
			return k, err
		}
		spec.Name = name + "-" + strconv.Itoa(n)
	}
}

// progress shows on a terminal how much was sent, once it takes long.
func (a *app) progress(total int) func(int) {
	f, ok := a.stderr.(*os.File)
	if !ok || !isTerminal(f) {
		return nil
	}
	start, last := time.Now(), time.Time{}
	return func(n int) {
		now := time.Now()
		switch {
		case n == total && !last.IsZero():
			fmt.Fprint(f, "\r\x1b[K")
			last = time.Time{}
		case n < total && now.Sub(start) > 300*time.Millisecond && now.Sub(last) > 100*time.Millisecond:
			fmt.Fprintf(f, "\rsending the program: %d %%", 100*n/total)
			last = now
		}
	}
}

// attach follows a container to its end and ends with its code.
func (a *app) attach(m machineDir, c *api.Client, k api.Container, forget bool) error {
	ctx := context.WithoutCancel(a.ctx) // a signal is for the container, which then ends
	stop := forwardSignals(ctx, c, k.Name)
	if a.ctx.Err() != nil { // it came before anybody could pass it on
		_, _ = c.Stop(ctx, k.Name, api.StopPatience)
	}
	code := codeFailed
	err := c.Logs(ctx, k.Name, true, func(ev api.Event) error {
		a.printOutput(ev)
		if ev.Event == api.EventExit {
			code = ev.Code
			if ev.Reason != api.ReasonExit {
				fmt.Fprintf(a.stderr, "nom: %s ended: %s\n", k.Name, ev.Reason)
			}
		}
		return nil
	})
	err = errors.Join(err, stop(), m.unpublish(k))
	if forget {
		err = errors.Join(err, c.Remove(ctx, k.Name, true))
	}
	switch {
	case err != nil:
		return err
	case code != 0:
		return withCode(code, nil)
	}
	return nil
}

// printOutput prints what a program printed, to the stream that it printed to.
func (a *app) printOutput(ev api.Event) {
	switch {
	case ev.Event != api.EventOutput:
	case ev.Stream == api.StreamStderr:
		_, _ = a.stderr.Write(ev.Data)
	default:
		_, _ = a.stdout.Write(ev.Data)
	}
}

// isFree says whether the port of this computer can be taken. Somebody else may be faster; then QEMU says so.
func (p *published) isFree() error {
	var err error
	if p.protocol == "udp" {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp4", p.host.String()); err == nil {
			return c.Close()
		}
	} else {
		var l net.Listener
		if l, err = net.Listen("tcp4", p.host.String()); err == nil {
			return l.Close()
		}
	}
	if who := p.holder(); who != "" {
		return fmt.Errorf("-p %s: that port of this computer leads to %s already: stop that, or choose another port", p.whole, who)
	}
	return fmt.Errorf("-p %s: the port of this computer cannot be used: %w", p.whole, err)
}
