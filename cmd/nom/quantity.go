package main

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"nom.dev/nom/api"
)

// quantity is a number of bytes on the command line, in Kubernetes' syntax: 512Mi, 1.5Gi, 2G, 4096.
type quantity int64

var suffixes = []struct {
	suffix string
	factor int64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
	{"", 1},
}

// String writes the shortest exact form.
func (q quantity) String() string {
	for i := 3; i >= 0; i-- {
		if s := suffixes[i]; q != 0 && int64(q)%s.factor == 0 {
			return strconv.FormatInt(int64(q)/s.factor, 10) + s.suffix
		}
	}
	return strconv.FormatInt(int64(q), 10)
}

// Set parses a quantity.
func (q *quantity) Set(s string) error {
	for _, x := range suffixes {
		digits, ok := strings.CutSuffix(s, x.suffix)
		if !ok {
			continue
		}
		if strings.Trim(digits, "0123456789.") != "" {
			break
		}
		r, ok := new(big.Rat).SetString(digits)
		if !ok {
			break
		}
		r.Mul(r, new(big.Rat).SetInt64(x.factor))
		if !r.IsInt() || !r.Num().IsInt64() {
			return fmt.Errorf("%s is not a whole number of bytes below 2^63", s)
		}
		*q = quantity(r.Num().Int64())
		return nil
	}
	return fmt.Errorf("write a quantity as 512Mi, 1.5Gi or 4096")
}

// Type is what the help calls it.
func (q *quantity) Type() string { return "bytes" }

// rate is what a container may send, and receive, in a second: 10Mbps, 2kfps, or both with a comma. 0 = no limit.
type rate struct{ bits, frames uint64 }

// String writes the shortest exact form.
func (r rate) String() string {
	var parts []string
	for _, u := range []struct {
		n    uint64
		unit string
	}{{r.bits, "bps"}, {r.frames, "fps"}} {
		if u.n == 0 {
			continue
		}
		text := strconv.FormatUint(u.n, 10)
		for i := 7; i >= 4; i-- {
			if s := suffixes[i]; u.n%uint64(s.factor) == 0 {
				text = strconv.FormatUint(u.n/uint64(s.factor), 10) + s.suffix
				break
			}
		}
		parts = append(parts, text+u.unit)
	}
	return strings.Join(parts, ",")
}

// Set parses a rate.
func (r *rate) Set(s string) error {
	*r = rate{}
	for _, part := range strings.Split(s, ",") {
		to := &r.bits
		digits, ok := strings.CutSuffix(part, "bps")
		if !ok {
			to = &r.frames
			digits, ok = strings.CutSuffix(part, "fps")
		}
		var q quantity
		if !ok || q.Set(digits) != nil {
			return fmt.Errorf("write a rate as 10Mbps (bits a second), 2kfps (frames a second), or 10Mbps,2kfps")
		}
		if q < 1 || q > api.MaxRate || *to != 0 {
			return fmt.Errorf("%s: give each rate once, from 1 to %d a second", part, uint64(api.MaxRate))
		}
		*to = uint64(q)
	}
	return nil
}

// Type is what the help calls it.
func (r *rate) Type() string { return "rate" }

// format is how results are printed.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f format) String() string { return string(f) }

// Set checks a format.
func (f *format) Set(s string) error {
	switch format(s) {
	case formatTable, formatJSON:
		*f = format(s)
		return nil
	}
	return fmt.Errorf("choose table or json")
}

// Type is what the help calls it.
func (f *format) Type() string { return "table|json" }

// restart is a restart policy, in docker's syntax.
type restart string

func (r restart) String() string { return string(r) }

// Set checks a policy.
func (r *restart) Set(s string) error {
	policy, times, limited := strings.Cut(s, ":")
	n, err := strconv.Atoi(times)
	switch {
	case (policy == "no" || policy == "always" || policy == "on-failure") && !limited,
		policy == "on-failure" && err == nil && n > 0:
		*r = restart(s)
		return nil
	}
	return fmt.Errorf("choose no, on-failure, on-failure:N or always")
}

// Type is what the help calls it.
func (r *restart) Type() string { return "policy" }
