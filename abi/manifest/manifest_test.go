package manifest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const sample = `{"version":1,"containers":[
	{"name":"web","program":"program/web","files":"files/web","args":["web","-v"],"env":["A=b=c"],"dir":"/srv",
	 "memory":67108864,"vcpus":2,"dedicated":true,"restart":"on-failure:3"},
	{"name":"job","program":"program/job","args":["job"],"memory":0,"vcpus":0,"dedicated":null}],
	"options":{"quiet":true}}`

func TestParse(t *testing.T) {
	m, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := &Manifest{
		Version: 1,
		Containers: []Container{
			{"web", "program/web", "files/web", []string{"web", "-v"}, []string{"A=b=c"}, "/srv", 64 << 20, 2, &yes, "on-failure:3", false, nil, nil},
			{Name: "job", Program: "program/job", Args: []string{"job"}},
		},
		Options: map[string]json.RawMessage{"quiet": json.RawMessage("true")},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"syntax", `{"version"`, `{version`, "invalid character"},
		{"field", `"vcpus":2`, `"cpus":2`, "unknown field"},
		{"tail", `"quiet":true}}`, `"quiet":true}}{}`, "something follows"},
		{"version", `"version":1`, `"version":2`, "version 2"},
		{"no version", `"version":1,`, ``, "version 0"},
		{"name", `"name":"web"`, `"name":"a b"`, "letters, digits"},
		{"first letter", `"name":"web"`, `"name":"-web"`, "letters, digits"},
		{"empty name", `"name":"web"`, `"name":""`, "0 bytes"},
		{"long name", `"name":"web"`, `"name":"` + strings.Repeat("a", 64) + `"`, "64 bytes"},
		{"twice", `"name":"job"`, `"name":"web"`, "two containers"},
		{"program", `"program/web"`, `"web"`, "program/"},
		{"files", `"files/web"`, `"web"`, "files/"},
		{"args", `["web","-v"]`, `[]`, "no arguments"},
		{"NUL", `"-v"`, `"\u0000"`, "NUL"},
		{"env", `"A=b=c"`, `"=b"`, "KEY=VALUE"},
		{"relative directory", `"/srv"`, `"srv"`, "absolute"},
		{"dots in directory", `"/srv"`, `"/srv/.."`, "absolute"},
		{"vCPUs", `"vcpus":2`, `"vcpus":17`, "17 vCPUs"},
		{"negative vCPUs", `"vcpus":2`, `"vcpus":-1`, "-1 vCPUs"},
		{"memory", `67108864`, `-1`, "memory"},
		{"restart", `on-failure:3`, `sometimes`, "restart policy"},
		{"rate of no function", `"vcpus":2`, `"vcpus":2,"rate":{"bits":5}`, "no network function"},
		{"rate", `"vcpus":2`, `"vcpus":2,"nic":true,"rate":{"frames":1099511627777}`, "at most"},
	} {
		if !strings.Contains(sample, c.old) {
			t.Fatalf("%s: the sample has no %q", c.name, c.old)
		}
		_, err := Parse([]byte(strings.Replace(sample, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestParseRestart(t *testing.T) {
	for _, c := range []struct {
		s    string
		want Restart
		ok   bool
	}{
		{"", Restart{}, true},
		{"no", Restart{}, true},
		{"always", Restart{Always: true}, true},
		{"on-failure", Restart{OnFailure: true}, true},
		{"on-failure:5", Restart{OnFailure: true, Max: 5}, true},
		{"on-failure:0", Restart{}, false},
		{"on-failure:", Restart{}, false},
		{"on-failure:-1", Restart{}, false},
		{"Always", Restart{}, false},
	} {
		got, err := ParseRestart(c.s)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: got %+v, %v; want %+v, ok = %t", c.s, got, err, c.want, c.ok)
		}
	}
}

// What Parse accepts can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}

func TestNetwork(t *testing.T) {
	const good = `{"version":1,"containers":[{"name":"web","program":"program/web","args":["web"],"memory":0,"vcpus":0,"dedicated":null,"nic":true,
		"network":{"address":"192.0.2.7/24","gateway":"192.0.2.1","dns":"198.51.100.3"}}]}`
	m, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Containers[0].Network.DNS.String(); got != "198.51.100.3" {
		t.Errorf("got name server %s", got)
	}
	const place = `"address":"192.0.2.7/24","gateway":"192.0.2.1","dns":"198.51.100.3"`
	if m, err := Parse([]byte(strings.Replace(good, place, `"dhcp":true`, 1))); err != nil || !m.Containers[0].Network.DHCP {
		t.Errorf("DHCP: %v", err)
	}
	for _, stack := range []string{StackGVisor, StackOwn} {
		if _, err := Parse([]byte(strings.Replace(good, place, place+`,"stack":"`+stack+`"`, 1))); err != nil {
			t.Errorf("stack %s: %v", stack, err)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{place, place + `,"stack":"other"`, `or use "gvisor" or "own"`},
		{`"nic":true`, `"nic":false`, "no network function"},
		{`192.0.2.7/24`, `192.0.2.7/31`, "prefix"},
		{`"192.0.2.1"`, `"192.0.3.1"`, "gateway"},
		{`198.51.100.3`, `2001:db8::1`, "name server"},
		{place, ``, "prefix"},
		{`"address":"192.0.2.7/24",`, `"dhcp":true,`, "leave one away"},
		{place, `"dhcp":true,"stack":"gvisor"`, "leave the stack away"},
	} {
		if _, err := Parse([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.new, err, c.want)
		}
	}
}
