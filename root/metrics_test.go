package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nom.dev/nom/api"
)

var (
	describesFamily = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	isSample        = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*)\})? (\S+)$`)
)

// checkOpenMetrics is strict about what OpenMetrics 1.0 says of the families that nom writes, and returns the samples.
func checkOpenMetrics(text string) (map[string]float64, error) {
	lines := strings.Split(text, "\n")
	if n := len(lines); n < 2 || lines[n-1] != "" || lines[n-2] != "# EOF" {
		return nil, fmt.Errorf("it does not end with # EOF and a line end")
	}
	samples, families := map[string]float64{}, map[string]string{}
	family, sampled := "", false
	for _, line := range lines[:len(lines)-2] {
		if m := describesFamily.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "TYPE" && (families[m[2]] != "" || !slices.Contains([]string{"gauge", "counter", "info"}, m[3])),
				m[1] != "TYPE" && (m[2] != family || sampled), m[1] == "UNIT" && !strings.HasSuffix(family, "_"+m[3]):
				return nil, fmt.Errorf("%q: out of place", line)
			case m[1] == "TYPE":
				family, families[m[2]], sampled = m[2], m[3], false
			}
			continue
		}
		m := isSample.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%q is no sample", line)
		}
		suffix := map[string]string{"counter": "_total", "info": "_info"}[families[family]]
		value, err := strconv.ParseFloat(m[3], 64)
		key := m[1] + "{" + m[2] + "}"
		_, twice := samples[key]
		switch {
		case m[1] != family+suffix || err != nil || twice || value < 0:
			return nil, fmt.Errorf("%q: not of family %s, twice, or no number", line, family)
		case suffix == "_info" && value != 1:
			return nil, fmt.Errorf("%q: an info is always 1", line)
		}
		samples[key], sampled = value, true
	}
	return samples, nil
}

func TestMetrics(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for _, spec := range []api.Spec{{Name: "web", Memory: 64 << 20, Network: true}, {Name: "gvisor", Network: true, Stack: "gvisor"}, {Name: "bad", Restart: "on-failure:1"}} {
		args := []string{}
		if spec.Name == "bad" {
			args = append(args, "3")
		}
		if _, err := r.begin(t, spec, args...); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = r.Wait(ctx, "bad")
	if _, err := r.Restart(ctx, "web", 0); err != nil { // counters go on
		t.Fatal(err)
	}
	q, _ := http.NewRequest("GET", r.server.URL+"/metrics", nil)
	q.Header.Set("Authorization", "Bearer "+testToken)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.Header.Get("Content-Type") != metricsType {
		t.Fatalf("%v, %v", a.Header, err)
	}
	samples, err := checkOpenMetrics(string(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for key, want := range map[string]float64{
		`nom_machine_cpus{}`: 2, `nom_app_up{app="web"}`: 1, `nom_app_up{app="bad"}`: 0, `nom_app_restarts_total{app="bad"}`: 1,
		`nom_app_memory_limit_bytes{app="web"}`: 64 << 20, `nom_vm_exits_total{reason="halt"}`: 0, `nom_app_cpu_seconds_total{app="web"}`: 0,
		`nom_app_network_transmit_bytes_total{app="web"}`: 400, `nom_app_network_transmit_frames_total{app="web"}`: 6,
		`nom_app_network_receive_bytes_total{app="web"}`: 0, `nom_app_network_receive_frames_total{app="gvisor"}`: 0,
		`nom_app_network_drops_total{app="web",cause="foreign"}`: 8, `nom_app_network_drops_total{app="web",cause="full"}`: 0,
	} {
		if got, ok := samples[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v\n%s", key, got, want, text)
		}
	}
	for _, none := range []string{`nom_app_network_transmit_bytes_total{app="bad"}`, `nom_app_network_drops_total{app="gvisor",cause="full"}`} {
		if _, ok := samples[none]; ok {
			t.Errorf("there is %s", none)
		}
	}
	for _, bad := range []string{"", "# EOF", "x 1\n# EOF\n", "# TYPE a gauge\na 1\na 1\n# EOF\n", "# TYPE a counter\na 1\n# EOF\n", "# TYPE a gauge\n# UNIT a bytes\na 1\n# EOF\n"} {
		if _, err := checkOpenMetrics(bad); err == nil {
			t.Errorf("the check takes %q", bad)
		}
	}
}

func TestLabelEscapes(t *testing.T) {
	o := new(openMetrics)
	o.family("x", "gauge", "", "X.")
	o.sample(1, "a", "q\"\\\n", "b", "2")
	o.WriteString("# EOF\n")
	if samples, err := checkOpenMetrics(o.String()); err != nil || samples[`x{a="q\"\\\n",b="2"}`] != 1 {
		t.Errorf("%v, %v", samples, err)
	}
}
