package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// metricsType is the media type of OpenMetrics, which Prometheus asks for.
const metricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

func (s *server) metrics(w http.ResponseWriter, r *http.Request) error {
	b := s.m.exposition()
	w.Header().Set("Content-Type", metricsType)
	_, _ = w.Write(b)
	return nil
}

// openMetrics writes the text format of OpenMetrics 1.0: the samples of one family stand together behind its description.
type openMetrics struct {
	bytes.Buffer
	name, suffix string
}

// family begins a family. A counter's samples have the suffix _total, an info's _info.
func (o *openMetrics) family(name, kind, unit, help string) {
	o.name = name
	o.suffix = map[string]string{"counter": "_total", "info": "_info"}[kind]
	fmt.Fprintf(o, "# TYPE %s %s\n", name, kind)
	if unit != "" {
		fmt.Fprintf(o, "# UNIT %s %s\n", name, unit)
	}
	fmt.Fprintf(o, "# HELP %s %s\n", name, help)
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes a sample with labels: names and values in turns.
func (o *openMetrics) sample(value float64, labels ...string) {
	o.WriteString(o.name + o.suffix)
	for i := 0; i < len(labels); i += 2 {
		o.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(o, `%s="%s"`, labels[i], labelEscapes.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		o.WriteByte('}')
	}
	o.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// appNumbers are what the metrics say of a container.
type appNumbers struct {
	api.Container
	cpu     float64 // of all its runs
	network api.Traffic
	drops   bool // the platform's TCP/IP is what drops
}

// numbers reads what the metrics say, at one time: counters must never fall. exits are those of all containers that ever were.
func (m *manager) numbers() (apps []appNumbers, exits map[string]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	exits = maps.Clone(m.exits)
	for _, w := range m.workloads {
		n := appNumbers{Container: m.describeLocked(w), cpu: w.cpu, drops: w.spec.Network != nil && w.stack == ""}
		n.network.Add(&w.past)
		if n.Stats == nil {
			n.Stats = &api.Stats{}
		}
		if w.process != nil { // what it did is not among what runs did that are over
			n.cpu += n.Stats.CPUSeconds
			if w.seen != nil {
				n.network.Add(w.seen)
			}
			for reason, count := range n.Stats.Exits {
				exits[reason] += count
			}
		}
		apps = append(apps, n)
	}
	return apps, exits
}

// exposition is what /metrics answers.
func (m *manager) exposition() []byte {
	o := new(openMetrics)
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	o.family("nom_build", "info", "", "What the root container was built from.")
	o.sample(1, "version", version, "goversion", runtime.Version(), "abi", strconv.Itoa(abi.Version))
	machine := m.describe()
	o.family("nom_machine_cpus", "gauge", "", "Cores of the machine.")
	o.sample(float64(machine.CPUs))
	o.family("nom_machine_memory_bytes", "gauge", "bytes", "Memory that containers can get in all.")
	o.sample(float64(machine.Memory))
	o.family("nom_machine_memory_free_bytes", "gauge", "bytes", "Memory that no container has.")
	o.sample(float64(machine.MemoryFree))
	apps, exits := m.numbers()
	o.family("nom_vm_exits", "counter", "", "How often containers left their virtual machine, by reason.")
	for _, reason := range api.ExitNames {
		o.sample(float64(exits[reason]), "reason", reason)
	}
	o.apps(apps)
	o.WriteString("# EOF\n")
	return o.Bytes()
}

// apps writes the families with one sample for each container.
func (o *openMetrics) apps(apps []appNumbers) {
	o.family("nom_app", "info", "", "A container and the SHA-256 digest of its program.")
	for i := range apps {
		o.sample(1, "app", apps[i].Name, "digest", apps[i].Digest)
	}
	for _, f := range []struct {
		name, kind, unit, help string
		value                  func(*appNumbers) float64
	}{
		{"nom_app_up", "gauge", "", "Whether it runs.", (*appNumbers).up},
		{"nom_app_cpu_seconds", "counter", "seconds", "Time that its virtual processors ran, in all its runs.", func(n *appNumbers) float64 { return n.cpu }},
		{"nom_app_memory_bytes", "gauge", "bytes", "Memory that it uses.", func(n *appNumbers) float64 { return float64(n.Stats.MemoryBytes) }},
		{"nom_app_memory_peak_bytes", "gauge", "bytes", "The most that it used, in this run or the last.", func(n *appNumbers) float64 { return float64(n.Stats.MemoryPeakBytes) }},
		{"nom_app_memory_limit_bytes", "gauge", "bytes", "Memory that it may use.", func(n *appNumbers) float64 { return float64(n.Memory) }},
		{"nom_app_restarts", "counter", "", "How often it was started again.", func(n *appNumbers) float64 { return float64(n.Restarts) }},
	} {
		o.family(f.name, f.kind, f.unit, f.help)
		for i := range apps {
			o.sample(f.value(&apps[i]), "app", apps[i].Name)
		}
	}
	o.network(apps)
}

// network writes what went through the network functions of containers that have one.
func (o *openMetrics) network(apps []appNumbers) {
	for _, f := range []struct {
		name, unit, help string
		value            func(*api.Traffic) uint64
	}{
		{"nom_app_network_receive_bytes", "bytes", "What its network function received, as that counts it.", func(t *api.Traffic) uint64 { return t.ReceivedBytes }},
		{"nom_app_network_transmit_bytes", "bytes", "What its network function sent, as that counts it.", func(t *api.Traffic) uint64 { return t.SentBytes }},
		{"nom_app_network_receive_frames", "", "Frames that its network function received.", func(t *api.Traffic) uint64 { return t.ReceivedFrames }},
		{"nom_app_network_transmit_frames", "", "Frames that its network function sent.", func(t *api.Traffic) uint64 { return t.SentFrames }},
	} {
		o.family(f.name, "counter", f.unit, f.help)
		for i := range apps {
			if n := &apps[i]; n.Address != "" {
				o.sample(float64(f.value(&n.network)), "app", n.Name)
			}
		}
	}
	o.family("nom_iommu_faults", "counter", "", "How often the IOMMU was seen to block what its network function reached for: at least.")
	for i := range apps {
		if n := &apps[i]; n.Address != "" {
			o.sample(float64(n.network.Blocked), "app", n.Name)
		}
	}
	o.family("nom_app_network_drops", "counter", "", "What the TCP/IP beneath it dropped, by cause, as that says.")
	for i := range apps {
		if n := &apps[i]; n.drops {
			for _, cause := range api.DropNames {
				o.sample(float64(n.network.Dropped[cause]), "app", n.Name, "cause", cause)
			}
		}
	}
}

func (n *appNumbers) up() float64 {
	if n.State == api.StateRunning {
		return 1
	}
	return 0
}
