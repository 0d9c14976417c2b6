package main

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
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
