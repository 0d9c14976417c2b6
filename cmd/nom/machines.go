package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"nom.dev/nom/machine"
)

// What a machine in the background has unless it is said otherwise.
const (
	defaultCPUs   = 2
	defaultMemory = 2 << 30
)

const machinesHelp = `
  create  describe a new machine, with --cpus, --memory and --accel
  start   start it in the background; the default one is made first if need be
  stop    end it, and everything that runs on it
  rm      remove one that does not run
  ls      list all, with -q or --format json
  inspect describe one as JSON
  console print what it has on its console; with -f go on until it ends
  logs    print what its supervisor on this computer said; likewise
  metrics print its numbers in the format of Prometheus

NAME is "default" when it is left out. What nom keeps of machines is in $NOM_HOME, or in $XDG_DATA_HOME/nom.
`

// verbFlags are the flags of a verb with the machine that they name.
type verbFlags struct {
	*pflag.FlagSet
	machine string
}

func machines(a *app, args []string) error {
	verbs := map[string]func(*app, machineDir, *machineOptions) error{
		"create": createMachine, "start": startMachine, "stop": stopMachine, "rm": removeMachine, "ls": listMachines,
		"inspect": inspectMachine, "console": machineConsole, "logs": machineLogs, "metrics": machineMetrics,
	}
	if len(args) == 2 && args[0] == superviseVerb {
		return supervisor(a, args[1])
	}
	fs := a.flagSet("machine", machinesHelp)
	var o machineOptions
	o.add(fs)
	if err := a.parse(fs, args); err != nil {
		return err
	}
	do := verbs[fs.Arg(0)]
	if do == nil || fs.NArg() > 2 {
		return fmt.Errorf("say what to do with a machine: see \"nom machine --help\"")
	}
	name := defaultMachine
	if fs.NArg() == 2 {
		name = fs.Arg(1)
	}
	m, err := openMachine(name)
	if err != nil {
		return err
	}
	return do(a, m, &o)
}

// machineOptions are the flags of all the verbs on machines.
type machineOptions struct {
	machineConfig
	memory quantity
	quiet  bool
	follow bool
	format format
	fs     *pflag.FlagSet
}

func (o *machineOptions) add(fs *pflag.FlagSet) {
	o.fs, o.memory, o.format = fs, defaultMemory, formatTable
	fs.IntVar(&o.CPUs, "cpus", defaultCPUs, "processors of a new machine")
	fs.VarP(&o.memory, "memory", "m", "memory of a new machine")
	fs.StringVar(&o.Accel, "accel", "", "kvm or tcg (software emulation); default: the best that this computer has")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "list names only")
	fs.BoolVarP(&o.follow, "follow", "f", false, "go on until the machine ends")
	fs.Var(&o.format, "format", "how to print the list; json is one object a line")
}

// config is the description of a new machine.
func (o *machineOptions) config() (machineConfig, error) {
	c := o.machineConfig
	c.Memory = int64(o.memory)
	switch {
	case c.CPUs < 1 || c.CPUs > machine.MaxCPUs:
		return c, fmt.Errorf("--cpus %d: a machine has 1 to %d", c.CPUs, machine.MaxCPUs)
	case c.Memory < leastManaged:
		return c, fmt.Errorf("--memory %v: give a machine in the background at least %v", o.memory, quantity(leastManaged))
	case c.Accel != "" && c.Accel != machine.KVM && c.Accel != machine.TCG:
		return c, fmt.Errorf("--accel %s: choose %s or %s", c.Accel, machine.KVM, machine.TCG)
	}
	return c, nil
}

// leastManaged is the least memory of a machine in the background: what it keeps for itself, and some to give away.
const leastManaged = 512 << 20

func createMachine(a *app, m machineDir, o *machineOptions) error {
	if m.exists() {
		return fmt.Errorf("there is a machine %s already: remove it first with \"nom machine rm %s\"", m.name, m.name)
	}
	c, err := o.config()
	if err != nil {
		return err
	}
	return m.create(c)
}

func startMachine(a *app, m machineDir, o *machineOptions) error {
	for _, flag := range []string{"cpus", "memory", "accel"} {
		if o.fs.Changed(flag) {
			return fmt.Errorf("--%s is for \"nom machine create\": a machine keeps what it was made with", flag)
		}
	}
	_, s, err := a.machineUp(m.name)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "nom: machine %s runs, its management API is at %s\n", m.name, s.Address)
	return nil
}

func stopMachine(a *app, m machineDir, _ *machineOptions) error {
	if !m.exists() {
		return fmt.Errorf("there is no machine %s", m.name)
	}
	return m.stop()
}

func removeMachine(a *app, m machineDir, _ *machineOptions) error {
	if !m.exists() {
		return fmt.Errorf("there is no machine %s", m.name)
	}
	lock, err := m.lock(startLock)
	if err != nil {
		return err
	}
	defer lock.Close()
	run, err := m.probe(runLock)
	if err != nil {
		return fmt.Errorf("machine %s runs: stop it first", m.name)
	}
	defer run.Close()
	return os.RemoveAll(m.dir)
}

// machineLine is the JSON form of a machine in a list.
type machineLine struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	Address string `json:"address,omitempty"` // of the management API
	machineConfig
}

func listMachines(a *app, _ machineDir, o *machineOptions) error {
	dir, err := home()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	if !o.quiet && o.format == formatTable {
		fmt.Fprintln(w, "NAME\tSTATUS\tCPUS\tMEMORY\tADDRESS")
	}
	for _, e := range entries {
		m, err := openMachine(e.Name())
		if err != nil || !m.exists() {
			continue
		}
		line, err := m.line()
		switch {
		case err != nil:
			return err
		case o.quiet:
			fmt.Fprintln(w, line.Name)
		case o.format == formatJSON:
			err = json.NewEncoder(w).Encode(line)
		default:
			status := map[bool]string{true: "running", false: "stopped"}[line.Running]
			fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%s\n", line.Name, status, line.CPUs, quantity(line.Memory), line.Address)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m machineDir) line() (machineLine, error) {
	line := machineLine{Name: m.name}
	if err := readJSON(m.path(configFile), &line.machineConfig); err != nil {
		return line, err
	}
	s, err := m.running()
	if s != nil {
		line.Running, line.Address = true, s.Address
	}
	return line, err
}
