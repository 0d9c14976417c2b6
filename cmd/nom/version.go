package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"nom.dev/nom/abi"
)

func version(a *app, args []string) error {
	fs := a.flagSet("version", "")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	of := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			of = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && of == "(devel)" {
				of += " " + s.Value
			}
		}
	}
	fmt.Fprintf(a.stdout, "nom %s, abi %d, %s %s/%s\n", of, abi.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
