package main

import (
	"fmt"
	"os"
	"strings"
)

// environment puts the environment of the programs together from the files, then the -e flags, so that the flags win.
// As with docker, a name without a value takes the value that it has here, and is left out when it has none.
func environment(files, flags []string) ([]string, error) {
	var env []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("environment file: %w", err)
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
			if line == "" || line[0] == '#' {
				continue
			}
			if env, err = addEnv(env, line); err != nil {
				return nil, fmt.Errorf("environment file %s, line %d: %w", file, number, err)
			}
		}
	}
	var err error
	for _, flag := range flags {
		if env, err = addEnv(env, flag); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// addEnv sets one variable in env, replacing an earlier value.
func addEnv(env []string, setting string) ([]string, error) {
	name, value, ok := strings.Cut(setting, "=")
	if name == "" || strings.ContainsAny(name, " \t") {
		return nil, fmt.Errorf("environment variable %q: write NAME=VALUE", setting)
	}
	if strings.ContainsRune(setting, 0) {
		return nil, fmt.Errorf("environment variable %q has a NUL in it", setting)
	}
	if !ok {
		if value, ok = os.LookupEnv(name); !ok {
			return env, nil
		}
	}
	for i, old := range env {
		if strings.HasPrefix(old, name+"=") {
			env[i] = name + "=" + value
			return env, nil
		}
	}
	return append(env, name+"="+value), nil
}
