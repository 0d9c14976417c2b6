package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"nom.dev/nom/api"
)

// remote is what the verbs on containers have in common: the machine that they ask.
type remote struct {
	dir    machineDir
	client *api.Client
}

// reach finds the machine, which must run.
func (a *app) reach(name string) (*remote, error) {
	m, err := openMachine(name)
	if err != nil {
		return nil, err
	}
	s, err := m.running()
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, fmt.Errorf("machine %s does not run: start it with \"nom machine start\"", name)
	}
	return &remote{m, s.client()}, nil
}

// named parses the flags of a verb on containers and reaches the machine. least and most say how many names there may be.
func (a *app) named(verb, help string, args []string, most int, more func(*verbFlags)) (*remote, []string, error) {
	fs := a.flagSet(verb, help)
	f := &verbFlags{FlagSet: fs}
	addMachine(fs, &f.machine)
	if more != nil {
		more(f)
	}
	if err := a.parse(fs, args); err != nil {
		return nil, nil, err
	}
	if n := fs.NArg(); n == 0 || n > most {
		return nil, nil, fmt.Errorf("name a container: see \"nom %s --help\"", verb)
	}
	r, err := a.reach(f.machine)
	return r, fs.Args(), err
}

// several is as many names as there may be.
const several = 1 << 20

// each does something for every name and goes on after errors.
func each(names []string, do func(name string) error) error {
	var errs error
	for _, name := range names {
		errs = errors.Join(errs, do(name))
	}
	return errs
}

func restartContainers(a *app, args []string) error {
	var patience time.Duration
	r, names, err := a.named("restart", "\nContainers that run are stopped first. They start with the same program, arguments and ports.\n", args, several,
		func(f *verbFlags) { addTime(f, &patience) })
	if err != nil {
		return err
	}
	if err := checkTime(patience); err != nil {
		return err
	}
	return each(names, func(name string) error {
		k, err := r.client.Restart(a.ctx, name, patience)
		if err != nil {
			return err
		}
		if err := r.dir.republish(k); err != nil {
			_, killed := r.client.Kill(context.WithoutCancel(a.ctx), name)
			return errors.Join(err, killed) // better none than one that nobody reaches
		}
		fmt.Fprintln(a.stdout, name)
		return nil
	})
}

// republish makes the ports of a container lead to it again, as far as they do not.
func (m machineDir) republish(k api.Container) error {
	var list []published
	for _, s := range k.Ports {
		p, err := parseForward(s)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	return m.publish(k, list)
}

func wait(a *app, args []string) error {
	r, names, err := a.named("wait", "", args, several, nil)
	if err != nil {
		return err
	}
	return each(names, func(name string) error {
		k, err := r.client.Wait(a.ctx, name)
		if err == nil {
			fmt.Fprintln(a.stdout, k.Code)
		}
		return err
	})
}

func remove(a *app, args []string) error {
	force := false
	r, names, err := a.named("rm", "\nTheir output and programs are gone then.\n", args, several, func(f *verbFlags) {
		f.BoolVarP(&force, "force", "f", false, "end those that run first")
	})
	if err != nil {
		return err
	}
	return each(names, func(name string) error {
		k, err := r.client.Container(a.ctx, name)
		if err != nil {
			return err
		}
		if k.State != api.StateExited && !force {
			return fmt.Errorf("%s is %s: stop it first, or use -f", name, k.State)
		}
		// The ports first: somebody else may have the address as soon as the container is gone.
		if err := r.dir.unpublish(k); err != nil {
			return err
		}
		if err := r.client.Remove(a.ctx, name, force); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, name)
		return nil
	})
}

func logs(a *app, args []string) error {
	follow := false
	r, names, err := a.named("logs", fmt.Sprintf("\nThe machine keeps the last %d KiB of each container.\n", api.LogSize>>10), args, 1, func(f *verbFlags) {
		f.BoolVarP(&follow, "follow", "f", false, "go on until the container ends")
	})
	if err != nil {
		return err
	}
	return r.client.Logs(a.ctx, names[0], follow, func(ev api.Event) error {
		a.printOutput(ev)
		return nil
	})
}

func inspect(a *app, args []string) error {
	r, names, err := a.named("inspect", "", args, several, nil)
	if err != nil {
		return err
	}
	return each(names, func(name string) error {
		k, err := r.client.Container(a.ctx, name)
		if err != nil {
			return err
		}
		b, err := json.MarshalIndent(k, "", "  ")
		fmt.Fprintf(a.stdout, "%s\n", b)
		return err
	})
}

func ports(a *app, args []string) error {
	r, names, err := a.named("port", "", args, 1, nil)
	if err != nil {
		return err
	}
	k, err := r.client.Container(a.ctx, names[0])
	if err != nil {
		return err
	}
	for _, s := range k.Ports {
		p, err := parseForward(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%d/%s -> %v\n", p.port, p.protocol, p.host)
	}
	return nil
}

func ps(a *app, args []string) error {
	fs := a.flagSet("ps", "\nWithout -a, those that have ended are left out. With --format json each line is what \"nom inspect\" prints.\n")
	var name string
	all, quiet, f := false, false, formatTable
	addMachine(fs, &name)
	fs.BoolVarP(&all, "all", "a", false, "also those that have ended")
	fs.BoolVarP(&quiet, "quiet", "q", false, "names only")
	fs.Var(&f, "format", "how to print the list; json is one object a line")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	r, err := a.reach(name)
	if err != nil {
		return err
	}
	list, err := r.client.Containers(a.ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	if !quiet && f == formatTable {
		fmt.Fprintln(w, "NAME\tSTATUS\tCPU\tMEMORY\tPORTS")
	}
	for _, k := range list {
		switch {
		case k.State == api.StateExited && !all:
		case quiet:
			fmt.Fprintln(w, k.Name)
		case f == formatJSON:
			if err := json.NewEncoder(w).Encode(k); err != nil {
				return err
			}
		default:
			fmt.Fprintln(w, psLine(&k, time.Now()))
		}
	}
	return nil
}

func psLine(k *api.Container, now time.Time) string {
	status := fmt.Sprintf("%s %v", k.State, now.Sub(k.Started).Round(time.Second))
	switch k.State {
	case api.StateRestarting:
		status = fmt.Sprintf("restarting (%d)", k.Code)
	case api.StateExited:
		status = fmt.Sprintf("exited (%d)", k.Code)
		if k.Reason != api.ReasonExit {
			status += " " + k.Reason
		}
	}
	cpu, memory := "", ""
	if k.Stats != nil {
		cpu = fmt.Sprintf("%.2fs", k.Stats.CPUSeconds)
		memory = fmt.Sprintf("%.1fMi", float64(k.Stats.MemoryPeakBytes)/(1<<20))
	}
	ports := ""
	if k.State != api.StateExited {
		ports = strings.Join(k.Ports, ", ")
	}
	return strings.Join([]string{k.Name, status, cpu, memory, ports}, "\t")
}
