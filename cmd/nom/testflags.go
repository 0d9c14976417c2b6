package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// testFlags are the flags of "go test" that a test binary understands, without the "test." in front.
var testFlags = []string{
	"bench", "benchmem", "benchtime", "count", "cpu", "failfast", "fullpath", "list", "parallel", "run", "short", "shuffle", "skip", "timeout", "v",
}

// hostFlags are flags of "go test" that write files or need the toolchain where the tests run.
var hostFlags = map[string]string{
	"race":         "the race detector needs cgo, and nom runs programs without it",
	"cover":        "coverage is not collected on nom",
	"coverprofile": "coverage is not collected on nom",
	"fuzz":         "fuzz on this computer with \"go test -fuzz\"; nom runs the seed corpus as part of the tests",
	"json":         "use \"nom test --format json\"",
	"tags":         "give --tags before --",
	"exec":         "nom itself runs the tests",
	"c":            "use \"go test -c\"",
}

// testArgs translates flags of "go test" into those of a test binary: -run X becomes -test.run X. What the binary knows
// under another name already, and everything after -args, stays as it is.
func testArgs(args []string, timeout time.Duration) (out []string, verbose bool, err error) {
	out = []string{"-test.paniconexit0", "-test.timeout=" + timeout.String()}
	for i, arg := range args {
		if arg == "-args" || arg == "--args" {
			return append(out, args[i+1:]...), verbose, nil
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if !strings.HasPrefix(arg, "-") {
			out = append(out, arg)
			continue
		}
		if why, ok := hostFlags[name]; ok {
			return nil, false, fmt.Errorf("test flag -%s: %s", name, why)
		}
		if bare := strings.TrimPrefix(name, "test."); slices.Contains(testFlags, bare) {
			name = "test." + bare
			if name == "test.v" || name == "test.bench" {
				verbose = !hasValue || value != "false"
			}
		}
		if hasValue {
			name += "=" + value
		}
		out = append(out, "-"+name)
	}
	return out, verbose, nil
}
